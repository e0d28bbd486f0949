"""Two accepted forms of the same data give the same result."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scproto
from scproto.datasets import simulate_atlas


@pytest.fixture(scope="module")
def cells():
    return simulate_atlas(120, 60, 2, 3, depth=300, seed=3)


def results(adata, **prepare):
    """Return the PCA, the embedding and the summed counts of a short fit."""
    scproto.pp.prepare(adata, "batch", **prepare)
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, n_prototypes=4)
    model.train(max_steps=4, enable_progress_bar=False)
    metacells = model.get_metacells()
    return adata.obsm["X_scproto_pca"], model.get_latent_representation(), metacells.layers["counts"].toarray()


@pytest.fixture(scope="module")
def expected(cells):
    return results(cells.copy())


def repeat_entries(x):
    """Store each count as repeated entries of one."""
    ones = np.ones(int(x.sum()), np.float32)
    indptr = np.append(0, np.cumsum(np.ravel(x.sum(axis=1)))).astype(np.int32)
    return sparse.csr_matrix((ones, np.repeat(x.indices, x.data.astype(int)), indptr), x.shape)


def foreign_strings(adata):
    adata.obs["batch"] = adata.obs["batch"].astype("string")
    adata.obs.index = adata.obs.index.astype("string")
    return adata


def unused_categories(adata):
    adata.obs["batch"] = pd.Categorical(adata.obs["batch"], [*sorted(set(adata.obs["batch"])), "never"])
    return adata


def part_of_more(adata):
    """Return the cells as a view of a larger object."""
    more = ad.concat([adata, adata], index_unique="-", keys=["a", "b"])
    more.obs_names = [*adata.obs_names, *(f"more{i}" for i in range(adata.n_obs))]
    return more[: adata.n_obs]


def with_x(change):
    def make(adata):
        adata.X = change(adata.X)
        return adata

    return make


FORMS = {
    "dense": with_x(lambda x: x.toarray()),
    "fortran": with_x(lambda x: np.asfortranarray(x.toarray())),
    "csc": with_x(lambda x: x.tocsc()),
    "array": with_x(sparse.csr_array),
    "repeated": with_x(repeat_entries),
    "uint16": with_x(lambda x: x.astype(np.uint16)),
    "float64": with_x(lambda x: x.astype(np.float64)),
    "half": with_x(lambda x: x.toarray().astype(np.float16)),
    "foreign_bytes": with_x(lambda x: x.toarray().astype(">f4")),
    "errors": with_x(lambda x: x + 3e-4 * (x > 0)),
    "strings": foreign_strings,
    "unused_categories": unused_categories,
    "view": part_of_more,
}


@pytest.mark.filterwarnings("ignore:Trying to modify attribute")  # anndata warns that it copies a view
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_in_memory(cells, expected, form):
    for found, right in zip(results(form(cells.copy())), expected, strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_backed(cells, expected, form, tmp_path):
    work = cells.copy()
    work.X = work.X.toarray() if form == "dense" else work.X.asformat(form)
    work.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    for found, right in zip(results(backed), expected, strict=True):
        np.testing.assert_array_equal(found, right)
    backed.file.close()


def test_dask(cells, expected):
    array = pytest.importorskip("dask.array")
    work = cells.copy()
    work.X = array.from_array(work.X.toarray(), chunks=(50, -1))
    for found, right in zip(results(work), expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_a_layer_is_read_like_x(cells, expected):
    work = cells.copy()
    work.layers["mine"] = repeat_entries(work.X)
    work.X = work.X.log1p()
    for found, right in zip(results(work, layer="mine"), expected, strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("form", ["repeated", "csc", "dense", "foreign_bytes"])
def test_a_query_is_read_like_the_cells(cells, form):
    adata = cells.copy()
    scproto.pp.prepare(adata, "batch")
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, n_prototypes=4)
    model.train(max_steps=4, enable_progress_bar=False)
    expected, query = model.get_latent_representation(), FORMS[form](cells.copy())
    np.testing.assert_array_equal(model.get_latent_representation(query), expected)
    np.testing.assert_array_equal(
        model.get_metacells(query).layers["counts"].toarray(), model.get_metacells().layers["counts"].toarray()
    )


def test_rounded_counts_give_similar_metacells_to_whole_counts(blood):
    """A correction that removes fractions of molecules hardly changes which cells belong together."""
    from sklearn.metrics import adjusted_rand_score

    corrected = blood.copy()
    corrected.X.data *= np.random.default_rng(0).uniform(0.9, 1, corrected.X.nnz).astype(np.float32)
    labels, rand = blood.obs["cell_type"].astype(str), {}
    for name, work, rounding in (("whole", blood, False), ("rounded", corrected, True)):
        scproto.pp.prepare(work, "lab", round_counts=rounding)
        scproto.SCPROTO.setup_anndata(work)
        model = scproto.SCPROTO(work, n_prototypes=20)
        model.train(max_steps=150, enable_progress_bar=False)
        scproto.tl.assign_metacells(work, model)
        rand[name] = scproto.metrics.metacell_scores(work.obs["metacell"].astype(str), labels)["purity"]
        if rounding:
            sums = model.get_metacells().layers["counts"].sum(axis=0)
            assert float(sums.sum()) == pytest.approx(float(corrected.X.sum()), rel=2e-3)
            reloaded = model.reader.from_json(model.reader.to_json())
            assert reloaded == model.reader
    assert rand["rounded"] == pytest.approx(rand["whole"], abs=0.05)
    assert adjusted_rand_score(blood.obs["metacell"], corrected.obs["metacell"]) > 0.2
