"""Read files and folders of cells into AnnData, or say in one sentence why they cannot be read."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
from anndata import AnnData, read_h5ad
from anndata.io import read_elem, read_zarr

from .._errors import InputError
from .tenx import holds_matrix_market, holds_tenx, read_matrix_market, read_tenx_h5

if TYPE_CHECKING:
    import pandas as pd
    import zarr

logger = logging.getLogger(__name__)

FORMATS = "an .h5ad file, a .zarr folder, a 10x .h5 file or a 10x folder of matrix, barcodes and features"

REMEDY = {
    ".rds": "save it from R with anndataR::write_h5ad",
    ".rdata": "save the object in it from R with anndataR::write_h5ad",
    ".rda": "save the object in it from R with anndataR::write_h5ad",
    ".h5seurat": "save it from R with anndataR::write_h5ad",
    ".zip": "unpack it",
    ".tar": "unpack it",
    ".mtx": "give the folder that holds it together with its barcodes and features",
    ".csv": "write it with AnnData.write_h5ad",
    ".tsv": "write it with AnnData.write_h5ad",
    ".txt": "write it with AnnData.write_h5ad",
}
"""How to convert formats that scproto does not read, by file extension."""

GZIP = b"\x1f\x8b"
"""First bytes of a file compressed by gzip."""

Reader = Callable[[Path], AnnData]


def check_readable(path: str | Path) -> None:
    """Check, without reading its data, that :func:`read_cells` can read `path`.

    Raises
    ------
    InputError
        If `path` does not exist, has another format or cannot be opened.
    """
    _reader_of(Path(path))


def read_cells(path: str | Path, *, raw: bool = False) -> AnnData:
    """Read cells into memory from AnnData (``.h5ad``, ``.zarr``), 10x (``.h5``, a folder) or ``.loom``.

    The content of a file decides what it is, not its extension.

    Parameters
    ----------
    path
        The file or folder.
    raw
        Whether to take the matrix and the genes of ``raw`` instead of those of ``X``.

    Returns
    -------
    adata : AnnData
        The cells.

    Raises
    ------
    InputError
        If `path` cannot be read, or has no ``raw``.
    """
    path = Path(path)
    reader = _reader_of(path)
    with _readable(path):
        adata = reader(path)
    if raw:
        if adata.raw is None:
            raise InputError(f"{path} has no raw: leave out --raw.")
        logger.info("The counts and genes of raw replace those of X.")
        adata = adata.raw.to_adata()
    return adata


def read_scored(path: str | Path, layer: str | None = None) -> AnnData:
    """Read only ``obs``, ``var``, ``obsm`` and one matrix of the AnnData in `path`.

    Parameters
    ----------
    path
        An ``.h5ad`` file or a ``.zarr`` folder.
    layer
        The layer to read; None for ``X``, which may be missing.

    Returns
    -------
    adata : AnnData
        The cells.

    Raises
    ------
    InputError
        If `path` cannot be read, or has no such layer.
    """
    path = Path(path)
    reader = _reader_of(path)
    if reader not in (read_h5ad, read_zarr):
        raise InputError(
            f"{path} holds only counts: give a file with an embedding and metacells, such as cells.h5ad of a run."
        )
    with _readable(path), _open(path) as group:
        layers: Any = group.get("layers", {})
        if layer is not None and layer not in layers:
            names = ", ".join(map(repr, sorted(layers))) or "none"
            raise InputError(f"{path} has no layer {layer!r}; it has {names}.")
        if isinstance(group["obs"], h5py.Dataset):  # a table as anndata before 0.7 wrote it
            return read_h5ad(path)
        obsm: Any = group.get("obsm", {})
        return AnnData(
            read_elem(group["X"]) if layer is None and "X" in group else None,
            read_elem(group["obs"]),
            read_elem(group["var"]),
            obsm={key: read_elem(obsm[key]) for key in obsm},
            layers={} if layer is None else {layer: read_elem(layers[layer])},
        )


def read_obs(path: str | Path) -> pd.DataFrame:
    """Read only ``obs`` of the AnnData in `path`.

    Returns
    -------
    obs : pandas.DataFrame
        One row per cell.

    Raises
    ------
    InputError
        If `path` cannot be read.
    """
    with _parts(path) as group:
        return read_elem(group["obs"])


def read_metacells(path: str | Path) -> AnnData:
    """Read the table of metacells in `path` without its genes, whose profiles by batch may be large.

    Returns
    -------
    metacells : AnnData
        ``obs``, ``obsm`` and ``uns``.

    Raises
    ------
    InputError
        If `path` cannot be read.
    """
    with _parts(path) as group:
        return AnnData(obs=read_elem(group["obs"]), obsm=read_elem(group["obsm"]), uns=read_elem(group["uns"]))


@contextmanager
def _parts(path: str | Path) -> Iterator[Any]:
    """Open the AnnData in `path` to read parts of it."""
    path = Path(path)
    _reader_of(path)
    with _readable(path), _open(path) as group:
        yield group


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn every error of a library into one sentence, because a damaged file can raise any of them."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(_unreadable(path, error)) from error


def _reader_of(path: Path) -> Reader:
    """Find the reader for the format of `path`."""
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if not os.access(path, os.R_OK):
        raise InputError(f"You have no permission to read {path}: change its permissions.")
    if path.is_dir() and holds_matrix_market(path):
        return read_matrix_market
    with _readable(path):
        if path.is_dir() and (
            path.suffix.lower() == ".zarr" or any(path.glob("*zgroup")) or (path / "zarr.json").exists()
        ):
            return _of_anndata(path)
        if path.is_file() and h5py.is_hdf5(path):
            return _of_hdf5(path)
    ending = path.suffix.lower()
    if path.is_file() and _is_packed(path):
        raise InputError(f"{path} is compressed: decompress it with gunzip, and give the resulting file.")
    if ending in (".h5ad", ".h5", ".loom", ".h5mu", ".zarr"):
        raise InputError(f"{path} cannot be read: it is damaged, or its extension is wrong.")
    remedy = REMEDY.get(ending, "write it with AnnData.write_h5ad")
    raise InputError(f"{path} has a format that scproto does not read (it reads {FORMATS}): {remedy}.")


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(GZIP)) == GZIP


def _of_hdf5(path: Path) -> Reader:
    with h5py.File(path, "r") as file:
        names = set(file)
        if {"obs", "var"} <= names and "mod" not in names:
            return read_h5ad
        if "mod" in names:
            parts = ", ".join(map(repr, file["mod"])) or "none"
            raise InputError(
                f"{path} holds a MuData object (with {parts}), but scproto takes only one part of it: write that part "
                "with mudata.read(path)['rna'].write_h5ad(...)."
            )
        if {"row_attrs", "col_attrs"} <= names:
            return _read_loom
        if holds_tenx(file):
            return read_tenx_h5
    raise InputError(f"{path} holds no AnnData object (no obs or var): write one with AnnData.write_h5ad.")


def _of_anndata(path: Path) -> Reader:
    with _open(path) as group:
        if "obs" in group and "var" in group:
            return read_zarr
    raise InputError(f"{path} holds no AnnData object (no obs or var): write one with AnnData.write_zarr.")


def _read_loom(path: Path) -> AnnData:
    from anndata.io import read_loom

    try:
        import loompy  # noqa: F401
    except ImportError as error:
        raise InputError(f"{path} is a loom file, which needs loompy: pip install loompy.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # anndata will remove read_loom
        return read_loom(path)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File | zarr.Group]:
    if path.is_dir():
        import zarr

        yield zarr.open_group(path, mode="r")
    else:
        with h5py.File(path, "r") as file:
            yield file


def _unreadable(path: Path, error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if any("unable to lock file" in line for line in lines):
        return (
            f"{path} cannot be read, because another program has it open for writing: close it there, or set "
            "HDF5_USE_FILE_LOCKING=FALSE if no program has."
        )
    if type(error).__name__ == "IORegistryError":
        where = next((line for line in [*lines, *getattr(error, "__notes__", ())] if "reading key" in line), lines[0])
        return (
            f"{path} cannot be read: it holds something that this version of anndata does not know ({where}); "
            "update anndata, or delete this entry from the file."
        )
    return f"{path} cannot be read: it may be damaged or have another format ({lines[0]})."
