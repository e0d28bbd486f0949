from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scproto._arguments import MAX_SEED, check_number, check_seed, check_whole, refuse_unknown
from scproto._errors import InputError

NO_NUMBERS = [None, "3", True, np.bool_(True), float("nan"), float("inf"), np.float32("nan"), 1 + 0j, [1], -1, -(2**70)]


@given(st.integers(0, MAX_SEED))
def test_whole_numbers_of_any_type_are_seeds(seed):
    for same in (seed, np.int64(seed), np.uint32(seed), float(seed)):
        assert (check_seed(same), type(check_seed(same))) == (seed, int)


@pytest.mark.parametrize("seed", [*NO_NUMBERS, 0.5, 2**32, 2**64, 10**400])
def test_other_seeds_are_refused(seed):
    with pytest.raises(InputError, match=r"seed=.* does not work: give a whole number from 0 to 4294967295\.$"):
        check_seed(seed)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, 1.5])
def test_anything_but_a_whole_number_is_refused(value):
    with pytest.raises(InputError, match=r"batch_size=.* does not work: give a whole number of at least 1\.$"):
        check_whole("batch_size", value)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0])
def test_anything_but_a_positive_number_is_refused(value):
    with pytest.raises(InputError, match=r"rate=.* does not work: give a number above 0\.$"):
        check_number("rate", value)
    if value != 0:
        with pytest.raises(InputError, match="of at least 0"):
            check_number("rate", value, zero=True)


def test_positive_numbers_become_floats():
    assert [check_number("rate", value) for value in (1e-9, 2, np.float32(0.5))] == [1e-9, 2.0, 0.5]
    assert check_number("rate", 0, zero=True) == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("size", r"f has no argument 'size': give length\.$"),
        ("lenght", r"f has no argument 'lenght': did you mean 'length'\?$"),
        ("colour", r"f has no argument 'colour': it takes length, width and the arguments of g\.$"),
    ],
)
def test_the_error_for_an_unknown_argument_says_what_to_do(name, sentence):
    with pytest.raises(InputError, match=sentence):
        refuse_unknown(
            "f", ["width", name], ["length", "width"], instead={"size": "give length."}, also=["size"], whose="g"
        )
    refuse_unknown("f", ["width", "depth"], ["length", "width"], instead={}, also=["depth"])
