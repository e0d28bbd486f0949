from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.metrics import log1p_cp10k

COUNTS = [[0, 3, 1], [5, 0, 5]]


@pytest.mark.parametrize("form", [list, np.array, sparse.csc_matrix])
def test_counts_in_any_form(form) -> None:
    expected = np.log1p([[0, 7500, 2500], [5000, 0, 5000]])
    np.testing.assert_allclose(log1p_cp10k(form(COUNTS)).toarray(), expected, rtol=1e-6)


def test_duplicate_entries_are_summed() -> None:
    twice = sparse.csr_matrix((np.ones(4, np.float32), [1, 1, 1, 2], [0, 4]), (1, 3))
    np.testing.assert_array_equal(log1p_cp10k(twice).toarray(), log1p_cp10k(COUNTS[:1]).toarray())


def test_text_is_refused() -> None:
    with pytest.raises(InputError, match="The matrix of counts has the type"):
        log1p_cp10k([["a"]])
