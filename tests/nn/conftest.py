from __future__ import annotations

import pytest


@pytest.fixture
def float32(monkeypatch) -> None:
    """No rounded products in training, whatever the hardware."""
    monkeypatch.setattr("scproto.nn.matmul.trains", lambda _: False)


@pytest.fixture
def bfloat16(monkeypatch) -> None:
    """Rounded products in training, whatever the hardware."""
    monkeypatch.setattr("scproto.nn.matmul.multiplies_bfloat16", lambda _: True)


@pytest.fixture
def halves(monkeypatch) -> None:
    """Rows of sparse products in float16 in training, whatever the hardware."""
    monkeypatch.setattr("scproto.nn.matmul.reads_halves", lambda: True)


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request) -> str:
    """Products in training in each precision."""
    request.getfixturevalue(request.param)
    return request.param
