"""Highly variable genes, ranked within the batches."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from scproto import _keys, pp
from scproto._errors import InputError
from scproto.datasets import simulate_atlas


def with_batch(counts: np.ndarray, batch: np.ndarray) -> AnnData:
    adata = AnnData(sparse.csr_matrix(counts, dtype=np.float32))
    adata.obs["batch"] = batch
    return adata


def silent_batches() -> dict[str, np.ndarray]:
    """Return sets of cells, ``(n_cells, 120)``, in which no gene stands out."""
    equal = np.zeros((12, 120))
    equal[:, ::3] = np.arange(40) + 1
    return {
        "equal": equal,
        "equal_up_to_depth": equal * np.arange(1, 13)[:, None],
        "one_gene": 3 * np.eye(120)[[5] * 12],
        "one_count_per_cell_in_different_genes": np.eye(120)[::10],
        "two_equal_cells": equal[:2],
        "two_cells_with_one_count_each": np.eye(120)[:2],
    }


def test_genes_that_differ_only_between_batches_are_not_favoured():
    """Twenty genes have one level in each batch, without noise; the levels of the batches differ widely."""
    cells = simulate_atlas(300, 600, 3, 4, depth=2000, seed=0)
    counts, code = cells.X.toarray(), cells.obs["batch"].cat.codes.to_numpy()
    expected = np.array([0.001, 0.005, 0.02])[code] * counts[:, 20:].sum(1)
    counts[:, :20] = np.round(np.outer(expected, np.linspace(0.5, 1.5, 20)))
    cells.X = sparse.csr_matrix(counts)
    n_favoured = {}
    for key in ("batch", None):
        pp.prepare(cells, key, n_top_genes=200)
        n_favoured[key] = cells.var[_keys.GENES].to_numpy()[:20].sum()
    assert n_favoured["batch"] == 0 < n_favoured[None]


@pytest.mark.parametrize("counts", silent_batches().values(), ids=silent_batches().keys())
def test_batches_in_which_no_gene_stands_out_do_not_count(tiny_atlas, counts, caplog):
    counts, batch = np.vstack([tiny_atlas.X.toarray(), counts]), np.append(tiny_atlas.obs["batch"], ["z"] * len(counts))
    pp.prepare(tiny_atlas, "batch", n_top_genes=40)
    more = with_batch(counts, batch)
    with caplog.at_level("INFO", "scproto"):
        pp.prepare(more, "batch", n_top_genes=40)
    np.testing.assert_array_equal(more.var[_keys.GENES], tiny_atlas.var[_keys.GENES])
    assert "1 of 4 batches (such as 'z') do not count in the selection of genes" in caplog.text
    assert np.isfinite(more.obsm[_keys.PCA]).all()


@pytest.mark.parametrize("batch_key", [None, "batch"])
def test_genes_are_chosen_even_if_none_stands_out(batch_key):
    """Each cell has one count, in a gene of its own; the batches do not differ."""
    adata = with_batch(np.eye(60), np.array(["a", "b"] * 30))
    pp.prepare(adata, batch_key, n_top_genes=20)
    assert adata.var[_keys.GENES].sum() == 20
    assert np.isfinite(adata.obsm[_keys.PCA]).all()


def test_genes_are_ranked_over_all_cells_if_none_stands_out_in_any_batch(caplog):
    """Within each batch the cells are equal, so all cells together rank the genes."""
    profiles = np.random.default_rng(0).poisson(3, (2, 90))
    with caplog.at_level("INFO", "scproto"), pytest.raises(InputError, match="No gene varies within a batch"):
        pp.prepare(with_batch(profiles[[0, 0, 0, 1, 1]], np.array(list("aaabb"))), "batch", n_top_genes=30)
    assert "ranked over all cells" in caplog.text


@pytest.mark.parametrize("n_batches", [1, 3, 40])
@pytest.mark.parametrize("n_top_genes", [10, 100])
def test_genes_equal_those_of_scanpy(n_batches, n_top_genes):
    import scanpy as sc

    rng = np.random.default_rng(n_batches)
    counts = rng.poisson(rng.gamma(0.3, size=200), (280, 200))
    adata = with_batch(counts, np.array([f"b{i % n_batches}" for i in range(280)]))
    pp.prepare(adata, "batch", n_top_genes=n_top_genes)
    groups = adata.obs.get(_keys.GROUP, adata.obs["batch"])
    n_batches = groups.nunique()  # the 40 batches, random parts of the cells, form groups
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    del adata.uns["log1p"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a small batch, fewer genes have a dispersion
        sc.pp.highly_variable_genes(adata, n_top_genes=n_top_genes, batch_key=groups.name if n_batches > 1 else None)
    np.testing.assert_array_equal(adata.var[_keys.GENES], adata.var["highly_variable"])
