"""Reading AnnData, with one sentence when that cannot be done."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata import AnnData

from scproto._errors import InputError
from scproto.inputs.files import check_readable, read_annotation, read_cells, read_matrix


@pytest.fixture
def cells() -> AnnData:
    adata = AnnData(np.arange(6, dtype=np.float32).reshape(3, 2))
    adata.obs["lab"] = ["a", "b", "a"]
    adata.obsm["X_pca"] = np.ones((3, 2))
    return adata


def write(cells: AnnData, path: Path) -> Path:
    if path.suffix == ".h5ad":
        cells.write_h5ad(path)
    else:
        cells.write_zarr(path)
    return path


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("name", ["cells.h5ad", "cells.zarr"])
def test_reads_h5ad_and_zarr(tmp_path, cells, name):
    path = write(cells, tmp_path / name)
    np.testing.assert_array_equal(read_cells(path).X, cells.X)
    obs, obsm = read_annotation(path)
    assert list(obs["lab"]) == ["a", "b", "a"]
    np.testing.assert_array_equal(obsm["X_pca"], cells.obsm["X_pca"])


def test_reads_cells_without_any_embedding(tmp_path, cells):
    del cells.obsm["X_pca"]
    assert not read_annotation(write(cells, tmp_path / "cells.h5ad"))[1]


def missing(folder: Path) -> Path:
    return folder / "missing.h5ad"


def table(folder: Path) -> Path:
    path = folder / "cells.csv"
    path.write_text("gene,cell1\n")
    return path


def text(folder: Path) -> Path:
    path = folder / "text.h5ad"
    path.write_text("hello")
    return path


def truncated(folder: Path) -> Path:
    path = write(AnnData(np.ones((3, 2), dtype=np.float32)), folder / "whole.h5ad")
    cut = folder / "cut.h5ad"
    cut.write_bytes(path.read_bytes()[:2000])
    return cut


def foreign(folder: Path) -> Path:
    with h5py.File(folder / "other.h5ad", "w") as file:
        file["matrix"] = np.ones(3)
    return folder / "other.h5ad"


def a_folder(folder: Path) -> Path:
    path = folder / "folder.h5ad"
    path.mkdir()
    return path


def empty_zarr(folder: Path) -> Path:
    path = folder / "empty.zarr"
    path.mkdir()
    return path


def file_as_zarr(folder: Path) -> Path:
    path = folder / "file.zarr"
    path.write_text("hello")
    return path


@pytest.mark.parametrize("reader", [check_readable, read_cells, read_annotation, read_matrix])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "does not exist"),
        (table, "neither an .h5ad file nor a .zarr folder"),
        (text, "cannot be read"),
        (truncated, "cannot be read"),
        (foreign, "holds no AnnData"),
        (a_folder, "cannot be read"),
        (empty_zarr, "cannot be read"),
        (file_as_zarr, "cannot be read"),
    ],
)
def test_unreadable_input_gives_one_sentence(tmp_path, reader, make, says):
    path = make(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_reads_the_matrix_or_a_layer_alone(tmp_path, cells, suffix):
    cells.layers["twice"] = 2 * cells.X
    path = write(cells, tmp_path / f"cells{suffix}")
    np.testing.assert_array_equal(read_matrix(path), cells.X)
    np.testing.assert_array_equal(read_matrix(path, "twice"), 2 * cells.X)
    with pytest.raises(InputError, match=r"no layer 'thrice'; it has 'twice'"):
        read_matrix(path, "thrice")


def test_a_file_may_hold_no_matrix(tmp_path, cells):
    cells.X = None
    path = write(cells, tmp_path / "cells.h5ad")
    assert read_matrix(path) is None
    with pytest.raises(InputError, match="it has none"):
        read_matrix(path, "counts")


@pytest.mark.filterwarnings("ignore:Element '/X' was written without")
def test_damage_behind_the_header_is_found_on_reading(tmp_path, cells):
    path = write(cells, tmp_path / "cells.h5ad")
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = np.ones(7)  # neither the shape of the cells nor the format of AnnData
    check_readable(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_cells(path)
