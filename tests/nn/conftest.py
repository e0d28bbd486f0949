from __future__ import annotations

import pytest


@pytest.fixture
def float32(monkeypatch) -> None:
    """Do not round products in training, whatever the hardware."""
    monkeypatch.setattr("scproto.nn.matmul.trains", lambda _: False)


@pytest.fixture
def bfloat16(monkeypatch) -> None:
    """Round products to bfloat16 in training, whatever the hardware."""
    monkeypatch.setattr("scproto.nn.matmul.multiplies_bfloat16", lambda _: True)


@pytest.fixture
def halves(monkeypatch) -> None:
    """Read rows of sparse products in float16 in training, whatever the hardware."""
    monkeypatch.setattr("scproto.nn.matmul.reads_halves", lambda: True)


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request) -> str:
    """Run the test with each precision of the products in training."""
    request.getfixturevalue(request.param)
    return request.param
