"""What anndata reads but does not write is mended and reported."""

from __future__ import annotations

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from scproto.run.hdf5 import writing_h5ad
from scproto.run.storable import make_storable

READABLE = {"anndata", "array", "categorical", "csr_matrix", "dataframe", "dict", "numeric-scalar", "string"}
READABLE |= {"string-array", "raw", None}
"""Encodings that every reader knows; the parts of a sparse matrix have none."""

N = 6


@pytest.fixture
def cells():
    names = [f"cell{i}" for i in range(N)]
    adata = AnnData(np.ones((N, 3), np.float32), pd.DataFrame({"kind": ["a", "b"] * 3}, index=names))
    adata.raw = adata.copy()
    return adata


def strings(values):
    return pd.array(values, dtype="string")


def nullable_columns(a):
    a.obs["barcode"] = strings([f"ACGT{i}" for i in range(N)])
    a.var["gene_ids"] = strings(["g0", "g1", "g2"])
    a.raw.var["gene_ids"] = strings(["g0", "g1", "g2"])


def nullable_with_gaps(a):
    a.obs["note"] = strings(["p", None] * 3)


def nullable_categories(a):
    a.obs["type"] = pd.Categorical(strings(["p", "q"] * 3))


def nullable_index(a):
    a.obs.index = pd.Index(strings(list(a.obs_names)))
    a.var.index = pd.Index(strings(list(a.var_names)))


def strings_in_uns(a):
    a.uns["table"] = pd.DataFrame({"x": strings(["p", None, "q"])})
    a.uns["nested"] = {"list": strings(["p", "q"])}


def reserved_column(a):
    a.var["_index"] = ["x", "y", "z"]
    a.raw.var["_index"] = ["x", "y", "z"]
    a.obs["_index"] = np.arange(N)


def slashes(a):
    a.obs["CD4/CD8"] = 1.0
    a.var["G1/S"] = True
    a.uns["G1/S colors"] = np.arange(3)
    a.uns["outer"] = {"in/ner": 1}
    a.layers["a/b"] = a.X.copy()
    a.obsm["X/Y"] = np.ones((N, 2))


def twins(a):
    a.obs = pd.concat([a.obs, a.obs[["kind"]], a.obs[["kind"]]], axis=1)


def index_named_like_a_column(a):
    a.obs.index.name = "kind"


def reserved_index(a):
    a.obs.index.name = "_index"


def numbers_as_names(a):
    a.obs[0] = 1.0
    a.uns[1] = "one"


KINDS = [
    nullable_columns,
    nullable_with_gaps,
    nullable_categories,
    nullable_index,
    strings_in_uns,
    reserved_column,
    slashes,
    twins,
    index_named_like_a_column,
    reserved_index,
    numbers_as_names,
]


@pytest.mark.parametrize("spoil", KINDS)
def test_the_file_is_written_and_every_reader_can_read_it(cells, spoil, tmp_path):
    spoil(cells)
    obs, n_columns = cells.obs.copy(), len(cells.obs.columns)
    with writing_h5ad(cells, tmp_path / "cells.h5ad"):
        pass
    with h5py.File(tmp_path / "cells.h5ad") as file:
        found = {"/": file.attrs["encoding-type"]}
        file.visititems(lambda name, item: found.update({name: item.attrs.get("encoding-type")}))
    assert set(found.values()) <= READABLE
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert len(again.obs.columns) == n_columns
    assert list(again.obs_names) == [f"cell{i}" for i in range(N)]
    for place in range(n_columns):  # the values are what they were, missing ones too
        before, after = obs.iloc[:, place], again.obs.iloc[:, place]
        assert list(before.isna()) == list(after.isna())
        assert list(before.dropna().astype(str)) == list(after.dropna().astype(str))


@pytest.mark.parametrize(
    ("spoil", "reported"),
    [
        (reserved_column, ["'_index' of adata.obs", "'_index' of adata.var", "'_index' of adata.raw.var"]),
        (slashes, ["'CD4/CD8' of adata.obs is renamed to 'CD4|CD8'", "'a/b' of adata.layers", "'in/ner' of adata.uns"]),
        (twins, ["'kind' of adata.obs is renamed to 'kind_'", "'kind__'"]),
        (index_named_like_a_column, ["index of adata.obs loses its name 'kind'"]),
        (nullable_columns, []),
    ],
)
def test_changes_of_names_are_reported(cells, spoil, reported):
    spoil(cells)
    sentences = [str(change) for change in make_storable(cells)]
    assert len(sentences) >= len(reported)
    for part in reported:
        assert any(part in sentence for sentence in sentences)


def test_an_index_named_like_a_column_to_come(cells):
    cells.obs.index.name = "metacell"
    [change] = make_storable(cells, written=("metacell",))
    assert (change.old, change.new) == ("metacell", None)
    assert cells.obs.index.name is None


def test_new_names_are_free(cells):
    cells.obs["a/b"], cells.obs["a|b"] = 1.0, 2.0
    make_storable(cells)
    assert list(cells.obs.columns) == ["kind", "a|b_", "a|b"]
    assert cells.obs["a|b"].eq(2).all()


def test_good_cells_stay_as_they_are(cells):
    before = cells.copy()
    assert make_storable(cells) == []
    assert list(cells.obs["kind"]) == list(before.obs["kind"])
    assert list(cells.obs_names) == list(before.obs_names)
    assert list(cells.var_names) == list(before.var_names)
