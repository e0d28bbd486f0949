"""Reading AnnData from disk, with one sentence when that cannot be done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
from anndata import AnnData, read_h5ad
from anndata.io import read_elem, read_zarr

from ._errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import zarr
    from numpy.typing import NDArray


def check_readable(path: str | Path) -> None:
    """Check that `path` is an AnnData file, without reading its data.

    Raises
    ------
    InputError
        If it does not exist, is neither ``.h5ad`` nor ``.zarr``, cannot be opened or holds no AnnData.
    """
    path = Path(path)
    if path.suffix not in (".h5ad", ".zarr"):
        raise InputError(f"{path} is neither an .h5ad file nor a .zarr folder; write it with AnnData.write_h5ad.")
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read; check its permissions.")
    try:
        with _open(path) as group:
            complete = "obs" in group and "var" in group
    except (OSError, ValueError) as error:  # what h5py and zarr raise for a damaged or foreign file
        raise InputError(_unreadable(path, error)) from error
    if not complete:
        raise InputError(f"{path} holds no AnnData object (no obs or var); write it with AnnData.write_h5ad.")


def read_cells(path: str | Path) -> AnnData:
    """Read the AnnData in `path` (``.h5ad`` or ``.zarr``) into memory.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(path)
    check_readable(path)
    try:
        return read_zarr(path) if path.suffix == ".zarr" else read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(_unreadable(path, error)) from error


def read_annotation(path: str | Path) -> tuple[pd.DataFrame, dict[str, NDArray]]:
    """Read ``obs`` and ``obsm`` of the AnnData in `path`, and not the expression matrix.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(path)
    check_readable(path)
    try:
        with _open(path) as group:
            return read_elem(group["obs"]), read_elem(group["obsm"]) if "obsm" in group else {}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(_unreadable(path, error)) from error


def read_matrix(path: str | Path, layer: str | None = None) -> Any:
    """Read ``X``, or a layer, of the AnnData in `path` into memory, and nothing else; None if there is no ``X``.

    Raises
    ------
    InputError
        If it cannot be read, or there is no such layer.
    """
    path = Path(path)
    check_readable(path)
    try:
        with _open(path) as group:
            if layer is None:
                return read_elem(group["X"]) if "X" in group else None
            layers: Any = group.get("layers", {})
            if layer not in layers:
                names = ", ".join(map(repr, sorted(layers))) or "none"
                raise InputError(f"{path} has no layer {layer!r}; it has {names}.")
            return read_elem(layers[layer])
    except InputError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise InputError(_unreadable(path, error)) from error


@contextmanager
def _open(path: Path) -> Iterator[h5py.File | zarr.Group]:
    if path.suffix == ".h5ad":
        with h5py.File(path, "r") as file:
            yield file
    else:
        import zarr

        yield zarr.open_group(path, mode="r")


def _unreadable(path: Path, error: Exception) -> str:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"{path} cannot be read; it may be damaged or of another format ({reason})."
