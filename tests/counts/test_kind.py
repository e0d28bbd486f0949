"""Counts, corrected counts and normalised values are distinguished."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.counts import Kind, canonical, examine, kind_of

N_CELLS, N_GENES = 300, 400


def simulate(depth, seed=0):
    """Counts of cells of different depths."""
    rng = np.random.default_rng(seed)
    profile = rng.gamma(0.5, size=N_GENES)
    depths = depth * rng.lognormal(0, 0.4, (N_CELLS, 1))
    return rng.poisson(profile / profile.sum() * depths).astype(float)


def kind(x):
    matrix = canonical(x, "x")
    return kind_of(matrix, examine(matrix))


def by_depth(x, total=1e4):
    return x / np.maximum(x.sum(axis=1, keepdims=True), 1) * total


def uniform(x, low=0.0, high=1.0):
    return np.random.default_rng(1).uniform(low, high, x.shape)


FRACTIONAL = {
    "ambient counts removed by a factor": lambda x: x * uniform(x, 0.7, 1),
    "ambient profile subtracted": lambda x: np.maximum(x - 0.05 * x.mean(axis=0), 0),
    "shared between genes": lambda x: (
        x + np.where(x > 0, np.random.default_rng(2).choice([0, 0, 0.5, 1 / 3], x.shape), 0)
    ),
    "a single fraction": lambda x: x + 0.5 * (np.arange(x.size).reshape(x.shape) == np.flatnonzero(x)[7]),
    "two decimals": lambda x: np.round(x * uniform(x, 0.5, 1.5), 2),
}

LOGS = {
    "log1p of 10,000": lambda x: np.log1p(by_depth(x)),
    "log1p of a million": lambda x: np.log1p(by_depth(x, 1e6)),
    "log1p of the median depth": lambda x: np.log1p(by_depth(x, np.median(x.sum(axis=1)))),
    "log2 of 10,000": lambda x: np.log2(by_depth(x) + 1),
    "log10 of 10,000": lambda x: np.log10(by_depth(x) + 1),
    "some genes after log1p": lambda x: np.log1p(by_depth(x))[:, ::3],
    "log1p of counts": np.log1p,
    "log2 of counts": lambda x: np.log2(x + 1),
    "single precision": lambda x: np.log1p(by_depth(x)).astype(np.float32),
    "half precision": lambda x: np.log1p(by_depth(x)).astype(np.float16),
}

SCALED = {
    "10,000": by_depth,
    "a million": lambda x: by_depth(x, 1e6),
    "some genes": lambda x: by_depth(x)[:, ::3],
    "random size factors": lambda x: x / np.random.default_rng(3).uniform(0.5, 2, (len(x), 1)),
}


@pytest.mark.parametrize("depth", [150, 4000])
@pytest.mark.parametrize("change", FRACTIONAL.values(), ids=FRACTIONAL.keys())
def test_fractional_counts(change, depth):
    assert kind(change(simulate(depth))) is Kind.FRACTIONAL


@pytest.mark.parametrize("depth", [150, 1500, 20000])
@pytest.mark.parametrize("change", LOGS.values(), ids=LOGS.keys())
def test_logs(change, depth):
    assert kind(change(simulate(depth))) is Kind.LOGS


@pytest.mark.parametrize("depth", [150, 4000])
@pytest.mark.parametrize("change", SCALED.values(), ids=SCALED.keys())
def test_scaled_counts(change, depth):
    assert kind(change(simulate(depth))) is Kind.SCALED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x, Kind.COUNTS),
        (lambda x: x + 5e-4 * (x > 0), Kind.NEARLY),
        (lambda x: np.expm1(np.log1p(x.astype(np.float32))), Kind.NEARLY),
        (lambda x: x - 1e-3, Kind.NEGATIVE),
        (lambda x: (x - x.mean(axis=0)) / (x.std(axis=0) + 1), Kind.NEGATIVE),
        (lambda x: np.where(x == x.max(), np.nan, x), Kind.MISSING),
        (lambda x: np.where(x == x.max(), np.inf, x), Kind.MISSING),
        (lambda x: np.where(x == x.max(), 3e38, x), Kind.HUGE),
        (lambda x: np.where(x == x.max(), 2**31, x), Kind.COUNTS),
    ],
    ids=["counts", "nearly_whole", "from_logs", "negative", "centred", "nan", "inf", "huge", "large"],
)
def test_other_kinds(change, expected):
    assert kind(change(simulate(4000))) is expected


def test_cells_without_values():
    x = np.zeros((5, 3))
    assert kind(x) is Kind.COUNTS
    x[2] = [0.4, 0, 1.3]
    assert kind(x) is Kind.FRACTIONAL


def test_one_cell():
    assert kind(np.array([[0.4, 0, 1.35]])) is Kind.FRACTIONAL


def test_sparse_and_dense_agree():
    x = np.log1p(by_depth(simulate(500)))
    assert kind(sparse.csr_matrix(x)) is kind(x)
