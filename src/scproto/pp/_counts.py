"""Whether a matrix holds counts: one pass over its stored values, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from scproto._errors import InputError

BLOCK_VALUES = 1 << 21
"""Stored values worked on at a time: 8 to 16 MB, and some copies of them."""

_LOG_CEILING = 20.0
"""Log-transformed expression stays below this (log1p of a million counts is 13.8)."""


@dataclass(frozen=True)
class MatrixSummary:
    """What one pass over a count matrix finds."""

    lowest: float
    """Smallest value, at most 0; NaN if any value is."""
    highest: float
    """Largest value, at least 0; NaN if any value is."""
    integers: bool
    """Whether every stored value is a whole number."""
    cell_totals: np.ndarray
    """Sum of each row, ``(n_cells,)``."""
    varies: bool
    """Whether some column holds two different values."""


def summarise_matrix(x: Any, where: str) -> MatrixSummary:
    """Examine all stored values of a matrix, block by block.

    Parameters
    ----------
    x
        ``(n_cells, n_genes)``: array, scipy sparse matrix, or one of them on disk (h5py, zarr, backed AnnData).
    where
        Name of the matrix in messages, such as ``adata.X``.

    Raises
    ------
    InputError
        If the matrix is empty or is not numeric.
    """
    x = _readable(x, where)
    lowest, highest, integers, varies = 0.0, 0.0, True, False
    totals = np.zeros(x.shape[0])
    first_row = _dense(x[:1])[0]
    with np.errstate(all="ignore"):  # NaN and inf are reported by the caller
        for rows, columns, block in _blocks(x):
            stored = block.data if sparse.issparse(block) else block
            lowest, highest = np.minimum(lowest, stored.min(initial=0)), np.maximum(highest, stored.max(initial=0))
            integers = integers and _whole(stored)
            totals[rows] += np.ravel(block.sum(axis=1, dtype=np.float64))
            varies = varies or _differs(block, first_row[columns])
    return MatrixSummary(float(lowest), float(highest), integers, totals, varies)


def counts_problem(summary: MatrixSummary, where: str) -> str | None:
    """Say in one clause why the values cannot be counts, or return None if they can."""
    low, high = summary.lowest, summary.highest
    if not np.isfinite([low, high]).all():
        return f"{where} holds missing or infinite values (NaN or inf)"
    if low < 0:
        return f"{where} holds negative values (the lowest is {low:.4g}), as after scaling"
    if not summary.integers and high < _LOG_CEILING:
        return f"{where} looks log-normalised (it holds fractions and its largest value is {high:.4g})"
    if not summary.integers:
        return f"{where} holds values that are not whole numbers, as after normalising"
    return None


def check_counts(x: Any, where: str) -> MatrixSummary:
    """Check that a matrix holds counts: finite, non-negative whole numbers of any dtype.

    Parameters
    ----------
    x
        ``(n_cells, n_genes)``, as for :func:`summarise_matrix`.
    where
        Name of the matrix in messages, such as ``adata.X``.

    Raises
    ------
    InputError
        If the matrix is empty or does not hold counts.
    """
    summary = summarise_matrix(x, where)
    if problem := counts_problem(summary, where):
        raise InputError(f"{problem}: scproto needs raw counts.")
    return summary


def _readable(x: Any, where: str) -> Any:
    """Return the matrix in a form that can be sliced along its stored axis; other containers are refused."""
    if hasattr(x, "format") and hasattr(x, "to_memory"):  # backed sparse data set
        x = x.to_memory() if x.format == "csc" else x
    elif sparse.issparse(x):
        x = x if x.format in {"csr", "csc"} else x.tocsr()
    elif type(x).__module__.startswith("dask") or not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise InputError(f"{where} is a {type(x).__name__}, not an array in memory or on disk: use adata.to_memory().")
    if 0 in x.shape:
        raise InputError(f"{where} is empty (shape {x.shape[0]} x {x.shape[1]}): give cells and genes.")
    if x.dtype.kind not in "biuf":
        raise InputError(f"{where} has the type {x.dtype}, not numbers: convert it with .astype('float32').")
    return x


def _blocks(x: Any) -> Iterator[tuple[slice, slice, Any]]:
    """Yield (rows, columns, block): blocks of rows, or of columns where the matrix is stored so."""
    by_column = sparse.issparse(x) and x.format == "csc"
    length, width = x.shape[::-1] if by_column else x.shape
    per_line = x.nnz / length if sparse.issparse(x) else width
    step = max(1, int(BLOCK_VALUES / max(1, per_line)))
    for start in range(0, length, step):
        part, whole = slice(start, min(start + step, length)), slice(None)
        yield (whole, part, x[:, part]) if by_column else (part, whole, x[part])


def _dense(block: Any) -> np.ndarray:
    return block.toarray() if sparse.issparse(block) else np.asarray(block)


def _whole(values: np.ndarray) -> bool:
    return values.dtype.kind in "biu" or bool((values == np.rint(values)).all())


def _differs(block: Any, row: np.ndarray) -> bool:
    """Whether some row of the block is not the given one."""
    lowest, highest = (_dense(extreme).ravel() for extreme in (block.min(axis=0), block.max(axis=0)))
    return bool((lowest != row).any() or (highest != row).any())
