"""One canonical form for every matrix that AnnData can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._errors import InputError


def canonical(x: Any, where: str) -> sp.csr_matrix:
    """Convert a matrix to the canonical form that all other code relies on.

    The canonical form is CSR in memory, with indices in ascending order, no duplicate entries (duplicates are summed),
    no stored zeros, and numbers in the byte order of the machine. The input is never modified. If it is already
    canonical, nothing is copied.

    Parameters
    ----------
    x
        Matrix, ``(n_cells, n_genes)``: array, scipy sparse matrix or array of any format, Dask array, or one of them
        on disk (h5py, zarr, backed AnnData).
    where
        Name of the matrix in messages, such as ``adata.X``.

    Returns
    -------
    counts : scipy.sparse.csr_matrix
        Canonical matrix, ``(n_cells, n_genes)``, of the numeric type of `x`. Half precision becomes single precision,
        and booleans become ``uint8``.

    Raises
    ------
    InputError
        If the matrix is empty, is damaged, has masked values or is not numeric.
    """
    x = _in_memory(x, where)
    if 0 in x.shape:
        raise InputError(f"{where} is empty (shape {x.shape[0]} x {x.shape[1]}): give at least one cell and one gene.")
    if x.dtype.kind not in "biuf":
        raise InputError(f"{where} has the type {x.dtype}, which is not numeric: convert it with .astype('float32').")
    if isinstance(x, np.ndarray):
        return sp.csr_matrix(_native(x))
    csr = _trusted(x if x.format in ("csr", "csc") else x.tocsr(), where).tocsr()
    if not csr.has_canonical_format:
        csr = _summed(csr)
    if np.count_nonzero(csr.data) < csr.nnz:
        csr = csr.copy()
        csr.eliminate_zeros()
    return csr


def _in_memory(x: Any, where: str) -> Any:
    """Load the matrix as a numpy array or a scipy sparse matrix, ``(n_cells, n_genes)``."""
    if hasattr(x, "to_memory"):  # backed sparse data
        x = x.to_memory()
    elif hasattr(x, "compute"):  # Dask
        x = x.compute()
    elif not sp.issparse(x) and not isinstance(x, np.ndarray) and hasattr(x, "shape") and hasattr(x, "dtype"):
        x = x[...]  # h5py, zarr
    if np.ma.isMaskedArray(x):
        if np.ma.is_masked(x):
            raise InputError(f"{where} has masked values: fill them, with x.filled(0) if they stand for zero counts.")
        x = np.ma.getdata(x)
    if not (sp.issparse(x) or isinstance(x, np.ndarray)) or len(x.shape) != 2:
        raise InputError(
            f"{where} is a {type(x).__name__}, not a matrix of numbers: give a numpy array or a CSR matrix."
        )
    return x if sp.issparse(x) else np.asarray(x)


def _trusted(x: Any, where: str) -> sp.csr_matrix | sp.csc_matrix:
    """Return the same entries in a new object, because the sorted and canonical flags of `x` may be out of date."""
    kind = sp.csr_matrix if x.format == "csr" else sp.csc_matrix
    try:
        same = kind((_native(x.data), x.indices, x.indptr), shape=x.shape)
        same.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{where} is damaged: its sparse indices are invalid ({error}).") from error
    return same


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Convert values to the byte order of the machine and to a type that sums and torch support."""
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _summed(x: sp.csr_matrix) -> sp.csr_matrix:
    """Sort each row and sum duplicate entries, in a type wide enough for the sum."""
    wide = x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
    wide.sum_duplicates()
    return wide.astype(x.dtype) if x.dtype.kind == "f" else wide
