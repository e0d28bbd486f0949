from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.metrics import poisson_loss
from scproto.metrics.held_out import split_counts
from scproto.tl import choose_denoising
from scproto.tl import denoising as module

STEPS = {"max_steps": 60, "batch_size": 64, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def found(atlas, model):
    """The cells, which hold the record, and the result."""
    cells = atlas.copy()
    cells.uns["scproto"] = dict(atlas.uns["scproto"])
    return cells, choose_denoising(cells, model, **STEPS)


def test_the_lowest_loss_wins_and_is_recorded(found):
    cells, result = found
    table = result.table
    assert list(table["level"]) == ["cell", "cell", "prototype", "prototype", "mixture", "mixture"]
    best = table.loc[table["loss"].idxmin()]
    assert (result.level, result.posterior) == (best["level"], best["posterior"])
    record = cells.uns["scproto"]["denoising"]
    assert (record["level"], record["posterior"], record["seen"]) == (result.level, result.posterior, 0.9)
    assert record["loss"][f"{best['level']}{' posterior' * bool(best['posterior'])}"] == table["loss"].min()
    assert str(result).endswith(f"Best: {record['words']}.")


def test_the_record_can_be_written_and_used(found, model, tmp_path):
    from anndata import read_h5ad

    cells, result = found
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = read_h5ad(tmp_path / "cells.h5ad")
    auto = model.get_normalized_expression(read, level="auto")
    named = model.get_normalized_expression(read, level=result.level, posterior=result.posterior)
    np.testing.assert_array_equal(auto, named)


def test_the_model_and_its_cells_stay_unchanged(atlas, model, found):
    assert "denoising" not in atlas.uns["scproto"]
    assert model.adata is atlas


def test_loss_equals_that_of_a_model_trained_on_the_seen_counts(atlas, model, found):
    """The network that predicts the held-out counts has not seen them."""
    rng = np.random.default_rng(0)
    seen, held_out = split_counts(sparse.csr_matrix(model.cells().counts), rng, 0.9)
    refitted = module._fit_again(model, seen, atlas, STEPS)
    assert (refitted.cells().counts != seen).nnz == 0
    expected = refitted.get_normalized_expression(
        level="cell", posterior=False, own_batch=True, library_size=1
    ).to_numpy()
    expected = expected * np.asarray(seen.sum(1)).reshape(-1, 1) / 9
    loss = poisson_loss(held_out.toarray(), expected) * held_out.shape[1]
    assert found[1].table["loss"][0] == pytest.approx(loss, rel=1e-3)


def test_only_a_sample_of_the_cells_is_scored(atlas, model, found, monkeypatch):
    monkeypatch.setattr(module, "MAX_SCORED", 50)
    result = choose_denoising(atlas.copy(), model, **STEPS)
    assert np.isfinite(result.table["loss"]).all()
    assert not result.table.equals(found[1].table)


def test_genes_and_cells_without_seen_counts_are_left_out(atlas, model):
    cells = atlas.copy()
    gone, last = (atlas.var_names.get_loc(model.reader.genes[i]) for i in (0, 1))
    counts = sparse.csr_matrix(atlas.X, copy=True)
    counts.data[counts.indices == gone] = 0
    counts.data[: counts.indptr[30]] = 0
    one_each = sparse.csr_matrix((np.ones(30), (np.arange(30), np.full(30, last))), shape=counts.shape)
    cells.X = sparse.csr_matrix(counts + one_each, dtype=np.float32)
    result = choose_denoising(cells, model, **STEPS)
    assert np.isfinite(result.table["loss"]).all()


def test_the_seed_decides(atlas, model, found):
    again = choose_denoising(atlas.copy(), model, **STEPS)
    other = choose_denoising(atlas.copy(), model, seed=1, **STEPS)
    assert again.table.equals(found[1].table)
    assert not other.table.equals(found[1].table)
