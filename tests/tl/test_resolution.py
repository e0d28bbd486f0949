from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.data.memory import MemoryCells
from scproto.tl import choose_resolution
from scproto.tl import resolution as module

N_TYPES, N_BATCHES, N_CELLS, N_PROTOTYPES = 4, 2, 600, 40


@pytest.fixture(scope="module")
def model() -> SimpleNamespace:
    """Four types in two batches. Ten prototypes lie close to each type; a cell goes to any of the ten."""
    rng = np.random.default_rng(0)
    kind, batch = np.arange(N_CELLS) % N_TYPES, rng.integers(N_BATCHES, size=N_CELLS)
    profile, shift = rng.gamma(0.5, 2, (N_TYPES, 80)), rng.lognormal(0, 0.4, (N_BATCHES, 80))
    counts = sparse.csr_matrix(rng.poisson(profile[kind] * shift[batch]).astype(np.float32))
    prototypes = np.repeat(np.eye(N_TYPES, 5), N_PROTOTYPES // N_TYPES, axis=0)
    prototypes = prototypes + 0.02 * rng.normal(size=prototypes.shape)
    prototypes = (prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)).astype(np.float32)
    unit = prototypes[kind * 10 + rng.integers(10, size=N_CELLS)]
    seen = []

    def embed(cells: MemoryCells) -> np.ndarray:
        seen.append(cells.counts.copy())
        return unit

    return SimpleNamespace(
        cells=lambda adata: MemoryCells(counts, batch), embed=embed, prototypes=prototypes, counts=counts, seen=seen
    )


def test_the_number_of_types_is_found(model):
    found = choose_resolution(None, model, tolerance=0)
    assert found.best == N_TYPES
    table = found.table.set_index("n")
    assert table.index[0] == 1
    assert table.index[-1] == N_PROTOTYPES
    assert table.loc[1, "score"] == 0
    assert table["score"].idxmax() == N_TYPES
    assert table.loc[N_PROTOTYPES, "score"] < table.loc[N_TYPES, "score"]
    np.testing.assert_allclose(table["share"], table["score"] / table.loc[N_TYPES, "score"])
    assert (table["n_used"] <= table.index).all()
    assert str(found).endswith("Best: 4 metacells.")


def test_the_finest_level_that_keeps_enough_is_chosen(model):
    table = choose_resolution(None, model).table
    for tolerance in (0.02, 0.1, 0.5):
        enough = table.loc[table["share"] >= 1 - tolerance, "n"]
        assert choose_resolution(None, model, tolerance=tolerance).best == enough.max() >= N_TYPES


@pytest.mark.parametrize("tolerance", [-0.1, 1.0, float("nan")])
def test_tolerance_must_be_a_share(model, tolerance):
    with pytest.raises(InputError, match="give a number of at least 0 and below 1"):
        choose_resolution(None, model, tolerance=tolerance)


def test_cells_are_assigned_by_half_of_their_counts(model):
    model.seen.clear()
    choose_resolution(None, model)
    assert (model.seen[0] > model.counts).nnz == 0
    assert model.seen[0].sum() == pytest.approx(model.counts.sum() / 2, rel=0.05)


def test_the_seed_decides(model):
    first, again, other = (choose_resolution(None, model, seed=seed).table for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_sample_of_the_cells_is_enough(model, monkeypatch):
    monkeypatch.setattr(module, "MAX_SCORED", 150)
    assert choose_resolution(None, model, tolerance=0).best == N_TYPES


def test_one_prototype(model):
    alone = SimpleNamespace(**vars(model) | {"prototypes": model.prototypes[:1]})
    found = choose_resolution(None, alone)
    assert found.best == 1
    assert found.table["score"].tolist() == [0]
