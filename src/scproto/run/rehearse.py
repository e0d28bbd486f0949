"""Find out before the training whether the results of a run can be written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData
from anndata.io import write_elem

from .._errors import InputError
from .hdf5 import COMPRESSION, open_hdf5

SAMPLE = 2_000
"""Number of cells that are written to estimate the disk space per cell."""

OF_A_CELL = 800
"""Bytes that a fit adds per cell: embedding, PCA, neighbours, probabilities and UMAP."""

MARGIN = 16 * 2**20
"""Bytes besides cells and metacells: the model, the report and its figures."""


METACELLS = "metacells"
"""Where the columns of the table of metacells are tried out."""


def rehearse(adata: AnnData, metacell_columns: list[str], n_metacells: int, folder: Path) -> None:
    """Write everything but the counts of the cells, and a sample of the counts, into a file that is then deleted.

    Parameters
    ----------
    adata
        Cells, as they are going to be written.
    metacell_columns
        Names of the columns of the table of metacells.
    n_metacells
        Number of metacells that there are going to be.
    folder
        Folder for the results.

    Raises
    ------
    InputError
        If something cannot be written, or the disk lacks space for the results.
    """
    path = folder / "rehearsal.h5ad"
    n = min(SAMPLE, adata.n_obs)
    try:
        with open_hdf5(path) as file:
            for where, value in _once(adata):
                _try(file, where, value)
            _try(file, METACELLS, pd.DataFrame(0.0, index=["metacell_0"], columns=metacell_columns))
            once = file.id.get_filesize()
            for where, value in _by_cell(adata, n):
                _try(file, where, value)
            sampled = file.id.get_filesize() - once
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"There is no disk space left in {folder.parent}: {_MEND}.") from error
        raise
    finally:
        path.unlink(missing_ok=True)
    needed = once + adata.n_obs * (sampled / n + OF_A_CELL) + 8 * n_metacells * adata.n_vars + MARGIN
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"The results need about {needed / 2**20:,.0f} MB, but {folder.parent} has {free / 2**20:,.0f} MB free: "
            f"{_MEND}."
        )


_MEND = "free some disk space, or write to another disk"


def _once(adata: AnnData) -> Iterator[tuple[str, Any]]:
    """Yield in full what does not grow with the counts: whether it can be written depends on its values."""
    yield "obs", adata.obs
    yield "var", adata.var
    yield from ((f"uns/{key}", value) for key, value in adata.uns.items())
    yield from ((f"varm/{key}", value) for key, value in adata.varm.items())
    yield from ((f"obsm/{key}", value) for key, value in adata.obsm.items() if isinstance(value, pd.DataFrame))
    if adata.raw is not None:
        yield "raw/var", adata.raw.var


def _by_cell(adata: AnnData, n: int) -> Iterator[tuple[str, Any]]:
    """Yield the first cells of all matrices."""
    if adata.X is not None:
        yield "X", adata.X[:n]
    yield from ((f"layers/{key}", value[:n]) for key, value in adata.layers.items() if key is not None)
    yield from ((f"obsm/{key}", value[:n]) for key, value in adata.obsm.items() if not isinstance(value, pd.DataFrame))
    yield from ((f"obsp/{key}", value[:n]) for key, value in adata.obsp.items())
    if adata.raw is not None:
        yield "raw/X", adata.raw.X[:n]


def _try(file: Any, where: str, value: Any) -> None:
    """Write one element; anndata raises many kinds of errors for what it cannot write."""
    group, _, key = where.rpartition("/")
    try:
        write_elem(file.require_group(group) if group else file, key, value, dataset_kwargs=COMPRESSION)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # caused by the disk, not by the element
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if where == METACELLS:
            told = f"The table of metacells cannot be written ({reason}): give fewer batches or labels."
            raise InputError(told) from error
        raise InputError(
            f"{where} of the cells cannot be written to a file ({reason}): delete or convert it."
        ) from error
