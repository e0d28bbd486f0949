from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from scproto import _keys, pp
from scproto._errors import InputError
from scproto.datasets import simulate_atlas
from scproto.graph import within_batch_neighbors
from scproto.pp.prepare import _deviation_within, _pca

CONTAINERS = {
    "csr_float32": lambda x: sparse.csr_matrix(x, dtype=np.float32),
    "csr_int64": lambda x: sparse.csr_matrix(x, dtype=np.int64),
    "csc_float64": lambda x: sparse.csc_matrix(x, dtype=np.float64),
    "csr_array": lambda x: sparse.csr_array(x, dtype=np.float32),
    "dense_float32": lambda x: x.astype(np.float32),
    "dense_uint16": lambda x: x.astype(np.uint16),
}


def written(adata: AnnData) -> dict[str, np.ndarray]:
    """Return everything that prepare computes, as arrays."""
    return {
        "batch": np.asarray(adata.obs[_keys.BATCH]),
        "genes": adata.var[_keys.GENES].to_numpy(),
        "pca": adata.obsm[_keys.PCA],
        "neighbors": adata.obsp[_keys.NEIGHBORS].toarray(),
    }


def assert_same(first: AnnData, second: AnnData) -> None:
    second_written = written(second)
    for name, value in written(first).items():
        np.testing.assert_array_equal(value, second_written[name], err_msg=name)


def test_what_is_written(tiny_atlas):
    pp.prepare(tiny_atlas, "batch", n_top_genes=60, n_pcs=10, n_neighbors=4, seed=3)
    assert tiny_atlas.obs[_keys.BATCH].dtype == "category"
    assert (tiny_atlas.obs[_keys.BATCH].astype(str) == tiny_atlas.obs["batch"].astype(str)).all()
    assert tiny_atlas.var[_keys.GENES].dtype == bool
    assert tiny_atlas.var[_keys.GENES].sum() == 60
    assert tiny_atlas.obsm[_keys.PCA].shape == (300, 10)
    degree = tiny_atlas.obsp[_keys.NEIGHBORS].sum(1)
    assert 0 < degree.max() <= 4
    assert tiny_atlas.uns[_keys.UNS]["prepare"] == {
        "batch_key": ["batch"],
        "layer": "X",
        "n_genes": 60,
        "n_pcs": 10,
        "round_counts": False,
        "n_neighbors": 4,
        "seed": 3,
    }


def test_nothing_else_changes(tiny_atlas):
    before = tiny_atlas.copy()
    pp.prepare(tiny_atlas, "batch")
    assert (tiny_atlas.X != before.X).nnz == 0
    assert tiny_atlas.X.dtype == before.X.dtype
    pd.testing.assert_frame_equal(tiny_atlas.obs[before.obs.columns], before.obs)
    assert set(tiny_atlas.obs) - set(before.obs) == {_keys.BATCH}
    assert set(tiny_atlas.var) - set(before.var) == {_keys.GENES}
    assert (set(tiny_atlas.obsm), set(tiny_atlas.obsp)) == ({_keys.PCA}, {_keys.NEIGHBORS})


def test_neighbours_are_found_in_the_pca_within_the_batch(tiny_atlas):
    pp.prepare(tiny_atlas, "batch", n_neighbors=5)
    batch = tiny_atlas.obs[_keys.BATCH].cat.codes.to_numpy(np.int64)
    expected = within_batch_neighbors(tiny_atlas.obsm[_keys.PCA], batch, 5).mutual().to_sparse()
    np.testing.assert_array_equal(tiny_atlas.obsp[_keys.NEIGHBORS].toarray(), expected.toarray())
    cells, others = tiny_atlas.obsp[_keys.NEIGHBORS].nonzero()
    assert (batch[cells] == batch[others]).all()


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_container_and_dtype_do_not_matter(tiny_atlas, container):
    counts = tiny_atlas.X.toarray()
    other = AnnData(container(counts), tiny_atlas.obs.copy(), tiny_atlas.var.copy())
    pp.prepare(tiny_atlas, "batch", n_top_genes=60)
    pp.prepare(other, "batch", n_top_genes=60)
    assert_same(tiny_atlas, other)
    kept = other.X.toarray() if sparse.issparse(other.X) else other.X
    np.testing.assert_array_equal(kept, counts)
    assert other.X.dtype == container(counts).dtype


def test_counts_from_a_layer(tiny_atlas):
    other = tiny_atlas.copy()
    other.layers["counts"] = other.X.copy()
    other.X = sparse.csr_matrix(np.log1p(other.X.toarray()))
    pp.prepare(tiny_atlas, "batch")
    pp.prepare(other, "batch", layer="counts")
    assert_same(tiny_atlas, other)
    assert other.uns[_keys.UNS]["prepare"]["layer"] == "counts"


def test_several_batch_keys(tiny_atlas):
    tiny_atlas.obs["day"] = np.where(np.arange(300) % 2, "odd", "even")
    pp.prepare(tiny_atlas, ["batch", "day"])
    expected = [f"{b}|{d}" for b, d in zip(tiny_atlas.obs["batch"], tiny_atlas.obs["day"], strict=True)]
    assert tiny_atlas.obs[_keys.BATCH].tolist() == expected
    assert tiny_atlas.uns[_keys.UNS]["prepare"]["batch_key"] == ["batch", "day"]


@pytest.mark.parametrize("batch_key", [None, []])
def test_no_batch_key(tiny_atlas, batch_key):
    pp.prepare(tiny_atlas, batch_key, n_top_genes=60)
    assert tiny_atlas.obs[_keys.BATCH].nunique() == 1
    assert tiny_atlas.var[_keys.GENES].sum() == 60
    assert tiny_atlas.uns[_keys.UNS]["prepare"]["batch_key"] == []


@pytest.mark.parametrize("n_top_genes", [60, 2000], ids=["chosen", "all"])
def test_constant_genes_are_left_out(tiny_atlas, n_top_genes):
    counts = tiny_atlas.X.toarray()
    counts[:, [3, 50]] = 0
    tiny_atlas.X = sparse.csr_matrix(counts)
    pp.prepare(tiny_atlas, "batch", n_top_genes=n_top_genes)
    genes = tiny_atlas.var[_keys.GENES].to_numpy()
    assert not genes[[3, 50]].any()
    assert genes.sum() == min(n_top_genes, 118)


def test_all_genes_are_taken_if_no_more_are_requested(tiny_atlas):
    pp.prepare(tiny_atlas, "batch", n_top_genes=120)
    assert tiny_atlas.var[_keys.GENES].all()


@pytest.mark.parametrize("n_top_genes", [30, 2000], ids=["chosen", "all"])
def test_batch_of_two_cells(tiny_atlas, n_top_genes):
    tiny_atlas.obs["lab"] = np.where(np.arange(300) < 2, "tiny", "large")
    pp.prepare(tiny_atlas, "lab", n_top_genes=n_top_genes)
    assert tiny_atlas.var[_keys.GENES].sum() == min(n_top_genes, 120)
    neighbors = tiny_atlas.obsp[_keys.NEIGHBORS]
    assert neighbors[0].indices.tolist() == [1]
    assert neighbors[1].indices.tolist() == [0]


def test_two_cells_in_all():
    adata = AnnData(np.array([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]], dtype=np.float32))
    pp.prepare(adata)
    assert adata.obsm[_keys.PCA].shape == (2, 1)
    np.testing.assert_array_equal(adata.obsp[_keys.NEIGHBORS].toarray(), [[0, 1], [1, 0]])


def naive_deviation(x, batch):
    """Compute the deviation within the batches with loops over genes, batches and cells."""
    result = []
    for gene in x.T.astype(np.float64):
        squares = 0.0
        for b in set(batch):
            values = [v for v, of in zip(gene, batch, strict=True) if of == b]
            squares += sum((v - sum(values) / len(values)) ** 2 for v in values)
        result.append((squares / len(gene)) ** 0.5)
    return result


@pytest.mark.parametrize(
    "batch",
    ["aaaaaaaaaaaa", "aaaaaabbbbbb", "abcabcabcabc", "abbbbbbbbbbb", "abcdefghijkl"],
    ids=["one_batch", "two", "three_in_turn", "one_cell_in_a_batch", "one_cell_per_batch"],
)
def test_deviation_equals_a_loop(batch):
    x = np.random.default_rng(0).poisson(0.7, (12, 9)).astype(np.float32)
    x[:, 4] = 0
    x[:, 5] = 2
    found = _deviation_within(sparse.csr_matrix(x), pd.Categorical(list(batch)))
    np.testing.assert_allclose(found, naive_deviation(x, list(batch)), rtol=1e-5, atol=1e-7)
    assert (found[4:6] == 0).all()


def log_values(tiny_atlas: AnnData) -> np.ndarray:
    """Return log1p CP10k, ``(n_cells, n_genes)``."""
    counts = tiny_atlas.X.toarray().astype(np.float64)
    return np.log1p(1e4 * counts / counts.sum(1, keepdims=True))


def naive_pca(x, batch, n_pcs, *, cut):
    """Return components of the scaled genes; with `cut`, each loses the variance of the last one kept."""
    deviation = np.array(naive_deviation(x, batch))
    scaled = x / np.sqrt(deviation)
    u, s, _ = np.linalg.svd(scaled - scaled.mean(0), full_matrices=False)
    variance = s**2 / (len(x) - 1)
    return u[:, :n_pcs] * np.sqrt((len(x) - 1) * (variance[:n_pcs] - (variance[n_pcs - 1] if cut else 0)))


@pytest.mark.parametrize(("n_genes", "n_pcs"), [(120, 10), (120, 2), (120, 1), (12, 50)])
def test_pca_uses_pareto_scaling_and_removes_the_noise(tiny_atlas, n_genes, n_pcs):
    tiny_atlas = tiny_atlas[:, :n_genes].copy()
    pp.prepare(tiny_atlas, "batch", n_pcs=n_pcs)
    found = tiny_atlas.obsm[_keys.PCA]
    batch = tiny_atlas.obs["batch"].astype(str).tolist()
    expected = naive_pca(log_values(tiny_atlas), batch, min(n_pcs, n_genes - 1), cut=1 < n_pcs < n_genes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3)


def test_the_last_component_counts_as_noise_if_others_are_left_out(tiny_atlas):
    pp.prepare(tiny_atlas, "batch", n_pcs=10)
    assert (tiny_atlas.obsm[_keys.PCA].std(0)[:9] > 0.01).all()
    assert not tiny_atlas.obsm[_keys.PCA][:, 9].any()
    few = tiny_atlas[:, :12].copy()
    pp.prepare(few, "batch", n_pcs=50)
    assert few.obsm[_keys.PCA].shape == (300, 11)
    assert (few.obsm[_keys.PCA].std(0) > 0.01).all()


@pytest.mark.parametrize("rounding", [0.0, 1e-6], ids=["exactly", "up_to_rounding"])
def test_a_gene_that_varies_only_between_batches_has_no_weight(tiny_atlas, rounding):
    batch = pd.Categorical(tiny_atlas.obs["batch"].astype(str))
    values = log_values(tiny_atlas).astype(np.float32)
    without = _pca(sparse.csr_matrix(values[:, 1:]), batch, 6, 0)
    values[:, 0] = np.array([0.0, 1.0, 5.0])[batch.codes]
    values[:, 0] += rounding * np.random.default_rng(0).uniform(size=300)
    found = _pca(sparse.csr_matrix(values), batch, 6, 0)
    np.testing.assert_allclose(np.abs(found), np.abs(without), atol=2e-3)


@pytest.mark.parametrize("depth", [[1, 1, 1, 1], [1, 3, 2, 7]], ids=["exactly", "up_to_depth"])
def test_cells_that_are_equal_within_the_batches_are_refused(depth):
    counts = np.array([[1.0, 3, 2], [1, 3, 2], [5, 1, 1], [5, 1, 1]]) * np.array(depth)[:, None]
    adata = AnnData(counts.astype(np.float32), pd.DataFrame({"lab": list("aabb")}, index=list("wxyz")))
    with pytest.raises(InputError, match="No gene varies within a batch"):
        pp.prepare(adata, "lab")


def test_the_same_seed_and_repetition_give_the_same_result(tiny_atlas):
    other = tiny_atlas.copy()
    pp.prepare(tiny_atlas, "batch", seed=1)
    pp.prepare(other, "batch", seed=1)
    assert_same(tiny_atlas, other)
    pp.prepare(other, "batch", seed=1)  # cells that are already prepared
    assert_same(tiny_atlas, other)


def test_results_survive_writing_and_reading(tiny_atlas, tmp_path):
    pp.prepare(tiny_atlas, "batch")
    tiny_atlas.write_h5ad(tmp_path / "cells.h5ad")
    read = read_h5ad(tmp_path / "cells.h5ad")
    assert_same(tiny_atlas, read)
    assert list(read.uns[_keys.UNS]["prepare"]["batch_key"]) == ["batch"]


def test_cells_that_differ_only_in_depth_are_refused():
    profile = np.array([1.0, 2.0, 4.0], dtype=np.float32)
    with pytest.raises(InputError, match="Fewer than two genes vary"):
        pp.prepare(AnnData(np.outer([1, 2, 4, 8], profile).astype(np.float32)))


def test_refusal_changes_nothing(tiny_atlas):
    before = tiny_atlas.copy()
    tiny_atlas.X.data[0] = 0.5
    before.X.data[0] = 0.5
    with pytest.raises(InputError, match="fractional counts"):
        pp.prepare(tiny_atlas, "batch")
    assert set(tiny_atlas.obs) == set(before.obs)
    assert not tiny_atlas.obsm


@pytest.mark.parametrize("mine", ["a note", {"params": 3}, np.arange(3)], ids=["text", "mapping", "array"])
def test_a_record_of_the_user_is_kept_under_another_name(tiny_atlas, mine):
    tiny_atlas.uns["scproto"] = mine
    pp.prepare(tiny_atlas, "batch")
    assert np.array_equal(tiny_atlas.uns["scproto_input"], mine)
    assert "prepare" in tiny_atlas.uns["scproto"]
    pp.prepare(tiny_atlas, "batch")
    assert "scproto_input_2" not in tiny_atlas.uns


def cut(adata, n_parts):
    """Cut each batch at random into parts, which become batches."""
    part = np.random.default_rng(0).integers(0, n_parts, adata.n_obs)
    adata.obs["part"] = adata.obs["batch"].astype(str) + "_" + part.astype(str)


def test_parts_of_a_batch_form_a_group_and_are_prepared_as_one(tiny_atlas, caplog):
    whole = tiny_atlas.copy()
    cut(tiny_atlas, 4)
    with caplog.at_level("INFO", "scproto"):
        pp.prepare(tiny_atlas, "part", n_top_genes=60)
    assert "The 12 batches form 3 groups of batches that behave alike." in caplog.text
    pp.prepare(whole, "batch", n_top_genes=60)
    pairs = tiny_atlas.obs[["batch", _keys.GROUP]].drop_duplicates()
    assert len(pairs) == 3
    assert tiny_atlas.obs[_keys.BATCH].nunique() == 12
    np.testing.assert_array_equal(tiny_atlas.var[_keys.GENES], whole.var[_keys.GENES])
    np.testing.assert_allclose(tiny_atlas.obsm[_keys.PCA], whole.obsm[_keys.PCA], atol=1e-4)
    assert (tiny_atlas.obsp[_keys.NEIGHBORS] != whole.obsp[_keys.NEIGHBORS]).nnz == 0


def test_groups_of_an_earlier_batch_key_are_removed(tiny_atlas):
    cut(tiny_atlas, 4)
    pp.prepare(tiny_atlas, "part")
    assert _keys.GROUP in tiny_atlas.obs
    pp.prepare(tiny_atlas, "batch")
    assert _keys.GROUP not in tiny_atlas.obs


def test_many_batches_that_differ_stay_apart():
    atlas = simulate_atlas(1200, 100, 12, 3, batch_strength=0.7, depth=1000, seed=1)
    pp.prepare(atlas, "batch")
    assert _keys.GROUP not in atlas.obs
