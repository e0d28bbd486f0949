from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scproto._errors import InputError
from scproto.tl.cohort import read_cohort


@pytest.fixture
def obs() -> pd.DataFrame:
    """Eight donors with one sample before and one after, 10 cells each; the first four are treated."""
    frame = pd.DataFrame({"donor": np.repeat([f"d{i}" for i in range(8)], 20)})
    frame["time"] = np.tile(np.repeat(["before", "after"], 10), 8)
    frame["sample"] = frame["donor"] + "_" + frame["time"]
    frame["arm"] = np.where(frame["donor"] < "d4", "treated", "control")
    frame["study"] = np.where(frame["donor"].isin(["d0", "d1", "d4", "d5"]), "a", "b")
    frame["dose"] = frame["donor"].map(lambda name: int(name[1]) % 3)
    return frame


def test_samples_are_replicates(obs):
    cohort = read_cohort(obs, "sample", "time")
    assert (cohort.reference, cohort.others) == ("after", ["before"])
    assert cohort.n_samples == {"after": 8, "before": 8}
    assert [cohort.names[i] for i in cohort.sample] == obs["sample"].tolist()
    np.testing.assert_array_equal(cohort.design, np.column_stack([np.ones(16), np.tile([0, 1], 8)]))


def test_a_reference_comes_first(obs):
    cohort = read_cohort(obs, "donor", "dose", reference="1")
    assert (cohort.reference, cohort.others) == ("1", ["0", "2"])
    assert cohort.design.shape == (8, 3)
    np.testing.assert_array_equal(cohort.design[:, 1], [1, 0, 0, 1, 0, 0, 1, 0])


def test_donors_in_both_conditions_are_compared_with_themselves(obs):
    for sample_key in ("sample", "donor"):
        cohort = read_cohort(obs, sample_key, "time", donor_key="donor", block_key="study")
        assert cohort.n_samples == {"after": 8, "before": 8}
        assert cohort.design.shape == (16, 9)
        assert list(cohort.block) == np.repeat([f"d{i}" for i in range(8)], 2).tolist()


def test_samples_of_a_donor_in_one_condition_are_one_replicate(obs):
    cohort = read_cohort(obs, "sample", "arm", donor_key="donor")
    assert cohort.n_samples == {"control": 4, "treated": 4}
    assert cohort.block is None
    assert cohort.names[0] == "d0 | treated"
    np.testing.assert_array_equal(cohort.sample, np.repeat(np.arange(8), 20))


def test_blocks_get_one_column_each_but_the_first(obs):
    cohort = read_cohort(obs, "donor", "arm", block_key="study")
    np.testing.assert_array_equal(cohort.design[:, 2], [0, 0, 1, 1, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({}, ("person", "arm"), "no column 'person'"),
        ({}, ("sample", "disease"), "no column 'disease'"),
        ({}, ("donor", "time"), "The sample 'd0' of obs\\['donor'\\] has several values in obs\\['time'\\]"),
        ({}, ("donor", "dose"), "has 3 values \\(0, 1, 2\\): name the one"),
        ({"arm": "treated"}, ("donor", "arm"), "has one value, 'treated'"),
        ({}, ("arm", "arm"), "The condition 'control' of obs\\['arm'\\] has one sample"),
    ],
)
def test_what_does_not_allow_a_comparison_is_refused(obs, change, arguments, message):
    with pytest.raises(InputError, match=message):
        read_cohort(obs.assign(**change), *arguments)


def test_missing_values_are_refused(obs):
    obs.loc[3:5, "arm"] = None
    with pytest.raises(InputError, match="3 of 160 rows have no value in obs\\['arm'\\]"):
        read_cohort(obs, "donor", "arm")


def test_no_cells_are_refused(obs):
    with pytest.raises(InputError, match="has no values: a comparison needs"):
        read_cohort(obs[:0], "donor", "arm")


def test_a_wrong_reference_is_refused(obs):
    with pytest.raises(InputError, match="no value 'sham' for the reference; it has control, treated"):
        read_cohort(obs, "donor", "arm", reference="sham")


def test_blocks_that_hide_the_condition_are_refused(obs):
    with pytest.raises(InputError, match="cannot be told apart"):
        read_cohort(obs, "donor", "arm", block_key="arm")
    with pytest.raises(InputError, match="several values in obs\\['time'\\]"):
        read_cohort(obs, "donor", "arm", block_key="time")
    few = obs[obs["donor"].isin(["d0", "d1"])]
    assert read_cohort(few, "sample", "time", donor_key="donor").design.shape == (4, 3)
    one_left = few[~few["sample"].eq("d1_after")]
    one_left = pd.concat([one_left, obs[obs["sample"] == "d2_after"]])
    with pytest.raises(InputError, match="too few for 4 conditions and blocks"):
        read_cohort(one_left, "sample", "time", donor_key="donor")


def test_few_samples_come_with_a_notice(obs, caplog):
    read_cohort(obs[obs["donor"] > "d1"], "donor", "arm")
    assert "'treated' has 2 samples" in caplog.text
    caplog.clear()
    read_cohort(obs[obs["donor"] > "d0"], "donor", "arm")
    assert not caplog.text
