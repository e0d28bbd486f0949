from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from scproto._errors import InputError
from scproto.metacells.assignment import assign
from scproto.model import SCPROTO
from scproto.tl import rank_prototype_genes, rank_split_genes


@pytest.fixture(scope="module")
def table(model):
    return rank_prototype_genes(model, n_genes=None, n_siblings=2)


@pytest.fixture(scope="module")
def splits(metacells):
    return rank_split_genes(metacells, n_genes=None)


def cp10k(metacells: AnnData, row: int, gene: str) -> float:
    counts = metacells.layers["counts"][row].toarray().ravel()
    return counts[metacells.var_names.get_loc(gene)] / counts.sum() * 1e4


def profiles(metacells: AnnData, genes: list[str]) -> dict[str, np.ndarray]:
    """Decoded and observed CP10k, computed one by one, ``(n_metacells, n_genes)``."""
    observed = [[cp10k(metacells, row, gene) for gene in genes] for row in range(metacells.n_obs)]
    return {"decoded": np.asarray(metacells[:, genes].X, dtype=float), "observed": np.array(observed)}


def mean(values: np.ndarray, size: np.ndarray, rows: list[int]) -> np.ndarray:
    return sum(size[row] * values[row] for row in rows) / sum(size[row] for row in rows)


def test_the_table_equals_a_loop(atlas, model, metacells, table):
    genes, size = model.gene_names, metacells.obs["n_cells"].to_numpy()
    values = profiles(metacells, genes)
    metacell = assign(model.get_latent_representation(sphere=True), model.prototypes).metacell
    seen = atlas[:, genes].X.toarray() > 0
    assert len(table) == metacells.n_obs * 2 * len(genes)
    for row, name in enumerate(metacells.obs_names):
        near = np.argsort(((metacells.obsm["X_scproto"] - metacells.obsm["X_scproto"][row]) ** 2).sum(1))
        near = [other for other in near if other != row][:2]
        others = {"rest": [other for other in range(metacells.n_obs) if other != row], "siblings": near}
        for reference, rows in others.items():
            found = table[(table["group"] == name) & (table["reference"] == reference)].set_index("names").loc[genes]
            assert set(found["siblings"]) == {", ".join(metacells.obs_names[near])}
            for layer, prefix in (("decoded", ""), ("observed", "observed_")):
                here, there = values[layer][row], mean(values[layer], size, rows)
                np.testing.assert_allclose(found[layer], here, rtol=1e-5)
                np.testing.assert_allclose(found[f"{layer}_reference"], there, rtol=1e-5)
                np.testing.assert_allclose(
                    found[f"{prefix}logfoldchanges"], np.log2((here + 1) / (there + 1)), atol=1e-5
                )
            np.testing.assert_allclose(found["pct_nz_group"], seen[metacell == row].mean(0))
            np.testing.assert_allclose(found["pct_nz_reference"], seen[np.isin(metacell, rows)].mean(0))


def test_n_genes_keeps_the_first_genes(model, table):
    few = rank_prototype_genes(model, n_genes=3, n_siblings=2)
    pd.testing.assert_frame_equal(few, table[table["rank"] <= 3].reset_index(drop=True))
    for _, lines in table.groupby(["group", "reference"], observed=True):
        assert lines["rank"].tolist() == list(range(1, len(model.gene_names) + 1))
        assert lines["logfoldchanges"].is_monotonic_decreasing


def test_only_genes_that_the_decoder_knows_are_ranked(model, metacells, table):
    assert set(table["names"]) == set(model.gene_names) < set(metacells.var_names)


def test_top_genes_are_markers_of_the_type(atlas, metacells, table):
    profile, share = atlas.varm["type_profile"], atlas.obs["cell_type"].value_counts(normalize=True)
    for name, kind in metacells.obs["cell_type"].items():
        rest = sum(profile[other] * share[other] for other in profile if other != kind) / (1 - share[kind])
        change = np.log2(profile[kind] / rest)
        top = table[(table["group"] == name) & (table["reference"] == "rest")]["names"].iloc[:5]
        assert change[top].min() > 0
        assert change[top].mean() > 1


def test_a_larger_pseudocount_shrinks_the_changes(model, table):
    keys = ["group", "reference", "names"]
    shrunk = rank_prototype_genes(model, n_genes=None, n_siblings=2, pseudocount=10.0).set_index(keys)
    change = table.set_index(keys)["logfoldchanges"]
    assert (shrunk["logfoldchanges"].abs() <= change.abs()[shrunk.index] + 1e-9).all()


def test_with_many_siblings_the_siblings_are_the_rest(model):
    table = rank_prototype_genes(model, n_genes=4, n_siblings=100)
    rest, siblings = (table[table["reference"] == r].drop(columns="reference") for r in ("rest", "siblings"))
    pd.testing.assert_frame_equal(rest.reset_index(drop=True), siblings.reset_index(drop=True))


def test_other_cells_and_levels(atlas, model):
    some = atlas[atlas.obs["cell_type"].isin(["type_0", "type_1"])].copy()
    metacells = model.get_metacells(some)
    assert metacells.n_obs < len(model.prototypes)  # some prototypes have no cells
    assert rank_prototype_genes(model, some)["group"].cat.categories.tolist() == metacells.obs_names.tolist()
    coarse = rank_prototype_genes(model, n=3)
    assert coarse["group"].cat.categories.tolist() == [f"metacell_{i}_of_3" for i in range(3)]
    for name, value in coarse.iloc[:50].groupby("group", observed=True)["decoded"].max().items():
        assert value in model.get_metacells(n=3)[name].X


def test_a_single_metacell_is_refused(atlas, model):
    for arguments in ({"n": 1}, {"adata": atlas[:1].copy()}):
        with pytest.raises(InputError, match="Only one metacell has cells"):
            rank_prototype_genes(model, **arguments)


def test_cells_of_one_batch_give_finite_values(atlas, model):
    table = rank_prototype_genes(model, atlas[atlas.obs["batch"] == "batch_1"].copy(), n_genes=2)
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)


@pytest.mark.parametrize("name", ["n_genes", "n_siblings", "pseudocount"])
def test_numbers_out_of_range_are_refused(model, name):
    with pytest.raises(InputError, match=f"{name}=0"):
        rank_prototype_genes(model, **{name: 0})


def test_scanpy_plots_the_genes(metacells, table):
    import scanpy as sc
    from matplotlib import pyplot as plt

    top = table[(table["reference"] == "rest") & (table["rank"] <= 2)]
    genes = top.groupby("group", observed=True)["names"].agg(list).to_dict()
    axes = sc.pl.matrixplot(metacells, genes, groupby="cell_type", log=True, show=False)
    assert "mainplot_ax" in axes
    plt.close("all")


def below(tree: np.ndarray, node: int, n: int) -> list[int]:
    """Leaves below a node."""
    return [node] if node < n else [row for child in tree[node - n, :2] for row in below(tree, int(child), n)]


def test_splits_equal_a_loop(model, metacells, splits):
    genes, size, n = model.gene_names, metacells.obs["n_cells"].to_numpy(), metacells.n_obs
    tree, values = metacells.uns["scproto_tree"], profiles(metacells, genes)
    assert len(splits) == (n - 1) * 2 * len(genes)
    names = [*metacells.obs_names, *(f"node_{node}" for node in range(n, 2 * n - 1))]
    for node, (left, right, height, _) in enumerate(tree, start=n):
        for side, other in ((int(left), int(right)), (int(right), int(left))):
            found = splits[(splits["split"] == node) & (splits["group"] == names[side])].set_index("names").loc[genes]
            here, there = below(tree, side, n), below(tree, other, n)
            assert set(found["reference"]) == {names[other]}
            assert set(found["metacells"]) == {", ".join(metacells.obs_names[sorted(here)])}
            assert set(found["n_cells"]) == {size[here].sum()}
            assert set(found["height"]) == {height}
            for layer, prefix in (("decoded", ""), ("observed", "observed_")):
                means = mean(values[layer], size, here), mean(values[layer], size, there)
                np.testing.assert_allclose(found[layer], means[0], rtol=1e-5)
                np.testing.assert_allclose(found[f"{layer}_reference"], means[1], rtol=1e-5)
                change = np.log2((means[0] + 1) / (means[1] + 1))
                np.testing.assert_allclose(found[f"{prefix}logfoldchanges"], change, atol=1e-5)


def test_splits_run_from_the_root_down_to_the_parents_of_the_metacells(metacells, splits):
    assert splits["split"].is_monotonic_decreasing
    assert splits["height"].is_monotonic_decreasing
    leaves = splits.drop_duplicates("group").set_index("group").loc[metacells.obs_names]
    np.testing.assert_array_equal(leaves["split"], metacells.obs["tree_parent"])
    root = splits.drop_duplicates("group").iloc[:2]
    assert root["n_cells"].sum() == metacells.obs["n_cells"].sum()


def test_the_two_sides_mirror_each_other(splits):
    for _, lines in splits.groupby("split"):
        left, right = (side.set_index("names")["logfoldchanges"] for _, side in lines.groupby("group", observed=True))
        np.testing.assert_allclose(left, -right[left.index], atol=1e-9)


def test_splits_of_a_table_read_from_disk(metacells, splits, tmp_path):
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    read = rank_split_genes(read_h5ad(tmp_path / "metacells.h5ad"), n_genes=4)
    pd.testing.assert_frame_equal(read, splits[splits["rank"] <= 4].reset_index(drop=True))


def test_one_metacell_has_no_split(model, splits):
    found = rank_split_genes(model.get_metacells(n=1))
    assert found.empty
    assert found.columns.tolist() == splits.columns.tolist()


def test_tables_without_a_whole_tree_are_refused(atlas, metacells):
    with pytest.raises(InputError, match=r"take it from model\.get_metacells"):
        rank_split_genes(atlas)
    with pytest.raises(InputError, match="The tree has 6 metacells but the table has 2: give the whole table"):
        rank_split_genes(metacells[:2].copy())


@pytest.mark.parametrize("name", ["n_genes", "pseudocount"])
def test_numbers_out_of_range_are_refused_for_splits(metacells, name):
    with pytest.raises(InputError, match=f"{name}=0"):
        rank_split_genes(metacells, **{name: 0})


def test_model_of_one_batch_and_two_cells(atlas):
    few = AnnData(atlas.X[:20], var=atlas.var[[]])
    from scproto import pp

    pp.prepare(few, n_top_genes=150)
    SCPROTO.setup_anndata(few)
    model = SCPROTO(few, n_prototypes=20, n_hidden=8, n_latent=3)
    model.train(3, accelerator="cpu", enable_progress_bar=False, batch_size=8)
    two = few[:2].copy()
    assert len(rank_prototype_genes(model, n_genes=1)) == 2 * model.get_metacells().n_obs
    if model.get_metacells(two).n_obs == 2:
        assert set(rank_prototype_genes(model, two)["pct_nz_group"]) == {0.0, 1.0}
