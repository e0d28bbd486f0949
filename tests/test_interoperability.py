"""The files of a run open elsewhere: in R, in scanpy, and in viewers such as CELLxGENE."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from scproto import _keys
from scproto.datasets import simulate_atlas
from scproto.run import Settings, run

READABLE = {"anndata", "array", "categorical", "csr_matrix", "dataframe", "dict", "numeric-scalar", "string"}
READABLE |= {"string-array"}
"""Encodings since anndata 0.8 that every reader knows; without null, nullable and awkward arrays and records."""

PAGE = (Path(__file__).parents[1] / "docs" / "interoperability.md").read_text(encoding="utf-8")

FILES = ["cells.h5ad", "metacells.h5ad"]


def atlas() -> AnnData:
    """Two labs with a slash in their names, labels with missing values, and a second column of labels."""
    adata = simulate_atlas(200, 60, 2, 3, depth=300, seed=2)
    adata.obs["lab"] = pd.Categorical(adata.obs["batch"].map({"batch_0": "10x/v2", "batch_1": "10x/v3"}))
    adata.obs.loc[adata.obs["cell_type"] == adata.obs["cell_type"].iloc[0], "cell_type"] = np.nan
    adata.obs["day"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 2, "one", "two"))
    return adata


def fit(folder, source=atlas, **settings):
    settings = {"n_prototypes": 6, "max_steps": 20, "threads": 1, "accelerator": "cpu", "report": False} | settings
    run(source, folder, Settings(**settings))
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run with UMAP and report."""
    folder = tmp_path_factory.mktemp("full") / "run"
    return fit(folder, batch_key=("lab",), label_keys=("cell_type", "day"), report=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run with one batch, without labels and UMAP."""
    return fit(tmp_path_factory.mktemp("plain") / "run")


def elements(path):
    """Encoding of each element by its path in the file; None for an element without one."""
    found = {}
    with h5py.File(path) as file:
        found["/"] = file.attrs["encoding-type"]
        file.visititems(lambda name, item: found.update({name: item.attrs.get("encoding-type")}))
    return found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("which", ["full", "plain"])
def test_only_encodings_that_every_reader_knows(which, name, request):
    found = elements(request.getfixturevalue(which) / name)
    part_of_sparse = {"data", "indices", "indptr"}  # these have no encoding
    without = {path for path, encoding in found.items() if encoding is None}
    assert {path.rsplit("/", 1)[1] for path in without} <= part_of_sparse
    assert set(found.values()) - {None} <= READABLE


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("which", ["full", "plain"])
def test_tables_have_plain_columns(which, name, request):
    data = read_h5ad(request.getfixturevalue(which) / name)
    for table in (data.obs, data.var):
        assert table.index.is_unique
        assert table.columns.is_unique
        assert not [column for column in table if "/" in column]
        for column, dtype in table.dtypes.items():
            assert isinstance(dtype, pd.CategoricalDtype) or dtype.kind in "biuf", column
    for mapping in (data.obsm, data.obsp, data.layers, data.uns):
        assert not [key for key in mapping if "/" in str(key)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("which", ["full", "plain"])
def test_a_viewer_finds_an_embedding(which, name, request):
    """CELLxGENE draws the first two columns of every entry X_... that is dense, numeric and finite."""
    data = read_h5ad(request.getfixturevalue(which) / name)
    embeddings = {key: values for key, values in data.obsm.items() if key.startswith("X_")}
    assert embeddings
    for values in embeddings.values():
        assert type(values) is np.ndarray
        assert values.dtype == np.float32
        assert values.shape[1] >= 2
        assert np.isfinite(values).all()
    assert data.X.dtype == np.float32
    assert sparse.issparse(data.X) or type(data.X) is np.ndarray


def test_the_umap_also_has_the_name_that_viewers_show_first(full):
    for name in FILES:
        data = read_h5ad(full / name)
        assert data.obsm["X_umap"].shape == (data.n_obs, 2)
        np.testing.assert_array_equal(data.obsm["X_umap"], data.obsm[_keys.UMAP])


def test_a_umap_of_the_user_stays_as_it_is(tmp_path):
    def with_umap():
        adata = atlas()
        adata.obsm["X_umap"] = np.ones((adata.n_obs, 2))
        return adata

    folder = fit(tmp_path / "run", with_umap, report=True)
    cells, metacells = (read_h5ad(folder / name) for name in FILES)
    assert (cells.obsm["X_umap"] == 1).all()
    assert _keys.UMAP in metacells.obsm
    assert "X_umap" not in metacells.obsm


def test_a_slash_in_a_batch_makes_no_folder(full):
    metacells = read_h5ad(full / "metacells.h5ad")
    shares = metacells.obs[["share_10x|v2", "share_10x|v3"]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert set(read_h5ad(full / "cells.h5ad").obs["scproto_batch"]) == {"10x/v2", "10x/v3"}


def test_a_slash_in_the_name_of_a_layer(full, tmp_path):
    from scproto import SCPROTO

    metacells = SCPROTO.load(full / "model").get_metacells(read_h5ad(full / "cells.h5ad"), decode_batches="10x/v3")
    metacells.write_h5ad(tmp_path / "metacells.h5ad")
    layers = set(read_h5ad(tmp_path / "metacells.h5ad").layers) - {None}  # None is X, from anndata 0.13 on
    assert layers == {"counts", "decoded", "decoded_10x|v3"}


def blocks(language):
    """Code blocks of the page in a language, except those that need a model."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [code for code in found if "model" not in code]


def run_r(code, *packages):
    """Run code in R with warnings as errors; skip the test if R lacks the packages."""
    if not shutil.which("Rscript"):
        pytest.skip("no R")
    libraries = "; ".join(f"library({package})" for package in packages)
    if subprocess.run(["Rscript", "-e", libraries], capture_output=True, check=False).returncode:
        pytest.skip(f"R lacks one of {', '.join(packages)}")
    done = subprocess.run(["Rscript", "-e", f"options(warn = 2)\n{code}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def here(full, tmp_path, monkeypatch):
    """Variables of the code on scanpy, after it ran in a folder with the run."""
    shutil.copytree(full, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks("python")[0], names)
    return names


def test_the_code_for_scanpy_and_viewers_runs(here):
    assert {"connectivities", "distances"} <= set(here["cells"].obsp)
    exec(blocks("python")[3], here)
    assert "metacell_probability" not in read_h5ad("run/cells_for_portal.h5ad").obsm


def test_the_code_for_r_keeps_the_metacells(here):
    """R reads and writes the same values; only the types of numbers may change."""
    run_r(blocks("r")[0], "anndataR", "SingleCellExperiment")
    exec(blocks("python")[1], here)
    given, again = read_h5ad("run/metacells.h5ad"), here["again"]
    assert again.obs["size"].cat.categories.tolist() == ["small", "large"]
    pd.testing.assert_frame_equal(again.obs[given.obs.columns], given.obs, check_dtype=False, check_index_type=False)
    for key, values in {**given.obsm, **given.layers}.items():
        found = again.obsm[key] if key in given.obsm else again.layers[key]
        np.testing.assert_array_equal(*(x.toarray() if sparse.issparse(x) else x for x in (found, values)))
    np.testing.assert_array_equal(again.X, given.X)


def test_the_code_for_text_files_runs(here):
    exec(blocks("python")[2], here)
    n_metacells, n_genes = here["metacells"].shape
    run_r(f"{blocks('r')[1]}\nstopifnot(dim(counts) == c({n_metacells}, {n_genes}))", "Matrix")


@pytest.mark.slow  # compiles the approximate search
def test_scanpy_finds_neighbours_in_a_large_embedding():
    import scanpy as sc

    unit = np.random.default_rng(0).normal(size=(10_000, 16)).astype(np.float32)
    adata = AnnData(obsm={"X_scproto": unit / np.linalg.norm(unit, axis=1, keepdims=True)}, shape=(len(unit), 0))
    sc.pp.neighbors(adata, use_rep="X_scproto")
    assert adata.obsp["connectivities"].shape == (len(unit), len(unit))
