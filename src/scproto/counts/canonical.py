"""One form for every matrix that AnnData may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._errors import InputError


def canonical(x: Any, where: str) -> sp.csr_matrix:
    """Bring a matrix into the one form that all else relies on.

    What a matrix means does not depend on how it is stored. Here the stored form becomes one, too: CSR in memory,
    indices in ascending order, no entry twice (repeated entries mean their sum), no stored zero, and numbers in the
    byte order of the machine. The given object stays as it is; where it is of that form already, nothing is copied.

    Parameters
    ----------
    x
        ``(n_cells, n_genes)``: array, scipy sparse matrix or array of any format, Dask array, or one of them on disk
        (h5py, zarr, backed AnnData).
    where
        Name of the matrix in messages, such as ``adata.X``.

    Returns
    -------
    ``(n_cells, n_genes)``, of the numeric type of `x`; half precision becomes single, and booleans become ``uint8``.

    Raises
    ------
    InputError
        If the matrix is empty, is damaged, has masked values or is not numeric.
    """
    x = _in_memory(x, where)
    if 0 in x.shape:
        raise InputError(f"{where} is empty (shape {x.shape[0]} x {x.shape[1]}): give cells and genes.")
    if x.dtype.kind not in "biuf":
        raise InputError(f"{where} has the type {x.dtype}, not numbers: convert it with .astype('float32').")
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
    """Return a numpy array or a scipy sparse matrix, ``(n_cells, n_genes)``."""
    if hasattr(x, "to_memory"):  # backed sparse data
        x = x.to_memory()
    elif hasattr(x, "compute"):  # Dask
        x = x.compute()
    elif not sp.issparse(x) and not isinstance(x, np.ndarray) and hasattr(x, "shape") and hasattr(x, "dtype"):
        x = x[...]  # h5py, zarr
    if np.ma.isMaskedArray(x):
        if np.ma.is_masked(x):
            raise InputError(f"{where} has masked values: fill them in, with x.filled(0) if they mean no counts.")
        x = np.ma.getdata(x)
    if not (sp.issparse(x) or isinstance(x, np.ndarray)) or len(x.shape) != 2:
        raise InputError(
            f"{where} is a {type(x).__name__}, not a matrix of numbers: give a numpy array or a CSR matrix."
        )
    return x if sp.issparse(x) else np.asarray(x)


def _trusted(x: Any, where: str) -> sp.csr_matrix | sp.csc_matrix:
    """Return the same entries in a new object: what `x` says of their order may be old."""
    kind = sp.csr_matrix if x.format == "csr" else sp.csc_matrix
    try:
        same = kind((_native(x.data), x.indices, x.indptr), shape=x.shape)
        same.check_format(full_check=True)
    except ValueError as error:
        raise InputError(f"{where} is damaged: its indices are not those of a sparse matrix ({error}).") from error
    return same


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Values in the byte order of the machine and of a type that sums and torch know."""
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _summed(x: sp.csr_matrix) -> sp.csr_matrix:
    """Sort each row and sum repeated entries, in a type in which the sum does not overflow."""
    wide = x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
    wide.sum_duplicates()
    return wide.astype(x.dtype) if x.dtype.kind == "f" else wide
