from __future__ import annotations

import re

import pytest
from comparison.methods import METHODS


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_method_has_its_script_and_exact_pins(method):
    assert method.path.exists()
    if method.script in ("scproto_fit", "pca", "random_cells"):
        assert method.requirements is None
        return
    pins = method.requirements.read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert method.package in {pin.split("==")[0].lower().replace("_", "-") for pin in pins}
