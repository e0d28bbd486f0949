"""Files and folders of cells become AnnData, or one sentence says why they cannot be read."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata import AnnData

from scproto._errors import InputError
from scproto.inputs.files import check_readable, read_cells, read_obs, read_scored


@pytest.fixture
def cells() -> AnnData:
    adata = AnnData(np.arange(6, dtype=np.float32).reshape(3, 2))
    adata.obs["lab"] = ["a", "b", "a"]
    adata.obsm["X_pca"] = np.ones((3, 2))
    return adata


def write(cells: AnnData, path: Path) -> Path:
    if path.suffix == ".zarr":
        cells.write_zarr(path)
    else:
        cells.write_h5ad(path)
    return path


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("name", ["cells.h5ad", "cells.zarr"])
def test_reads_h5ad_and_zarr(tmp_path, cells, name):
    cells.layers["twice"] = 2 * cells.X
    path = write(cells, tmp_path / name)
    np.testing.assert_array_equal(read_cells(path).X, cells.X)
    assert list(read_obs(path)["lab"]) == ["a", "b", "a"]
    scored = read_scored(path)
    assert list(scored.obs["lab"]) == ["a", "b", "a"]
    np.testing.assert_array_equal(scored.obsm["X_pca"], cells.obsm["X_pca"])
    np.testing.assert_array_equal(scored.X, cells.X)
    assert "twice" not in scored.layers
    layer = read_scored(path, "twice")
    np.testing.assert_array_equal(layer.layers["twice"], 2 * cells.X)
    assert layer.X is None
    with pytest.raises(InputError, match=r"no layer 'thrice'; it has 'twice'"):
        read_scored(path, "thrice")


def test_a_file_may_lack_a_matrix_and_an_embedding(tmp_path, cells):
    cells.X = None
    del cells.obsm["X_pca"]
    scored = read_scored(write(cells, tmp_path / "cells.h5ad"))
    assert scored.X is None
    assert len(scored.obsm) == 0


@pytest.mark.parametrize("name", ["CELLS.H5AD", "cells", "cells.h5"])
def test_the_content_decides_the_format(tmp_path, cells, name):
    (write(cells, tmp_path / "cells.h5ad")).rename(tmp_path / name)
    np.testing.assert_array_equal(read_cells(tmp_path / name).X, cells.X)


def test_counts_in_raw(tmp_path, cells):
    cells.raw = cells
    cells = cells[:, :1].copy()
    path = write(cells, tmp_path / "cells.h5ad")
    assert read_cells(path, raw=True).n_vars == 2
    assert read_cells(path).n_vars == 1
    del cells.raw
    with pytest.raises(InputError, match="has no raw"):
        read_cells(write(cells, tmp_path / "without.h5ad"), raw=True)


@pytest.mark.filterwarnings("ignore:.*written with a very old version")
def test_reads_tables_that_old_versions_of_anndata_wrote(tmp_path, cells):
    path = write(cells, tmp_path / "cells.h5ad")
    with h5py.File(path, "r+") as file:
        for name, columns in (("obs", {"lab": np.array([b"a", b"b", b"a"])}), ("var", {})):
            index = np.array([f"{name}{i}".encode() for i in range(3 if name == "obs" else 2)])
            del file[name]
            table = np.rec.fromarrays([index, *columns.values()], names=["index", *columns])
            file.create_dataset(name, data=table)
    scored = read_scored(path)
    assert list(scored.obs["lab"].astype(str)) == ["a", "b", "a"]
    assert list(scored.var_names) == ["var0", "var1"]
    np.testing.assert_array_equal(scored.X, cells.X)


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


def muon(folder: Path) -> Path:
    with h5py.File(folder / "mu.h5ad", "w") as file:
        for name in ("obs", "var", "mod/rna/obs"):
            file.create_group(name)
    return folder / "mu.h5ad"


def packed(folder: Path) -> Path:
    path = folder / "cells.h5ad"
    path.write_bytes(gzip.compress(b"HDF"))
    return path


def of_r(folder: Path) -> Path:
    path = folder / "cells.rds"
    path.write_bytes(b"RDX3")
    return path


def of_the_future(folder: Path) -> Path:
    path = write(AnnData(np.ones((3, 2), dtype=np.float32), uns={"new": {}}), folder / "new.h5ad")
    with h5py.File(path, "r+") as file:
        file["uns/new"].attrs["encoding-type"] = "of-the-future"
    return path


@pytest.mark.parametrize("reader", [check_readable, read_cells, read_scored, read_obs])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "does not exist"),
        (table, "format that scproto does not read"),
        (text, "cannot be read"),
        (truncated, "cannot be read"),
        (foreign, "holds no AnnData"),
        (a_folder, "cannot be read"),
        (empty_zarr, "cannot be read"),
        (file_as_zarr, "cannot be read"),
        (muon, r"MuData object.*'rna'"),
        (packed, "gunzip"),
        (of_r, "anndataR"),
    ],
)
def test_unreadable_input_gives_one_sentence(tmp_path, reader, make, says):
    path = make(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_elements_that_this_anndata_does_not_know(tmp_path):
    with pytest.raises(InputError, match="does not know"):
        read_cells(of_the_future(tmp_path))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files(tmp_path, cells, share):
    content = write(cells, tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="cannot be read"):
        read_cells(tmp_path / "cut.h5ad")


@pytest.mark.filterwarnings("ignore:Element '/X' was written without")
def test_damage_after_the_header_is_found_on_reading(tmp_path, cells):
    path = write(cells, tmp_path / "cells.h5ad")
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = np.ones(7)  # has neither the shape of the cells nor AnnData's format
    check_readable(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_cells(path)


def test_loom_needs_loompy(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "cells.loom", "w") as file:
        for name in ("row_attrs", "col_attrs"):
            file.create_group(name)
    monkeypatch.setitem(sys.modules, "loompy", None)
    check_readable(tmp_path / "cells.loom")
    with pytest.raises(InputError, match="pip install loompy"):
        read_cells(tmp_path / "cells.loom")


LOCKING = """
import sys, h5py
file = h5py.File(sys.argv[1], "r+")
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_program_is_writing(tmp_path, cells):
    path = write(cells, tmp_path / "cells.h5ad")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LOCKING, str(path)], text=True, **pipes) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(InputError, match="another program has it open"):
            read_cells(path)
        process.stdin.close()
