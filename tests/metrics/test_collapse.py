from __future__ import annotations

import numpy as np
import pytest

from scproto.metrics.collapse import describe_collapse


@pytest.mark.parametrize("share", [0.75, 1.0, 1.02, np.nan])
def test_enough_prototypes_in_use_need_no_word(share):
    assert describe_collapse(750, share) is None


def test_a_collapse_is_told_with_what_to_do():
    sentence = describe_collapse(1090.0, 0.11)
    assert sentence.startswith("Only 1,090 prototypes are in use, 11% of those that evenly spread cells would use")
    assert "max_steps" in sentence
