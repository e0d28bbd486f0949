from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scproto.run import record


@pytest.mark.parametrize(("values", "last"), [([1, 2], 2.0), ([1, np.nan], 1.0), ([np.nan, np.inf], None), ([], None)])
def test_the_last_value_of_a_history_is_finite_or_none(values, last):
    assert record._last(pd.DataFrame({"loss": values})) == last
