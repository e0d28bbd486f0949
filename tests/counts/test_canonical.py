"""Every container and storage format of counts has the same canonical form."""

from __future__ import annotations

from copy import deepcopy

import h5py
import numpy as np
import pytest
import zarr
from anndata import AnnData, read_h5ad
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from scproto._errors import InputError
from scproto.counts import canonical

COUNTS = np.array([[0, 3, 1, 0], [2, 0, 0, 0], [5, 0, 1, 9], [0, 0, 4, 0]], dtype=np.float32)


def repeated(x):
    """Store each entry of two or more as two entries."""
    coo = sparse.coo_matrix(x)
    big = coo.data >= 2
    first = np.where(big, 1, coo.data)
    rows, columns = (np.concatenate([index, index[big]]) for index in (coo.row, coo.col))
    order = np.argsort(rows, kind="stable")
    data = np.concatenate([first, coo.data[big] - 1]).astype(x.dtype)[order]
    indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=len(x))))
    return sparse.csr_matrix((data, columns[order], indptr), x.shape)


def unsorted(x):
    csr = sparse.csr_matrix(x)
    for start, end in zip(csr.indptr[:-1], csr.indptr[1:], strict=True):
        csr.indices[start:end], csr.data[start:end] = csr.indices[start:end][::-1], csr.data[start:end][::-1]
    return sparse.csr_matrix((csr.data, csr.indices, csr.indptr), x.shape)


def with_old_flags(x):
    """Unsorted, although scipy's flags say that the matrix is sorted."""
    csr = unsorted(x)
    csr.has_sorted_indices = csr.has_canonical_format = True
    return csr


def with_zeros(x):
    """Every value is stored, including zeros of both signs."""
    columns = np.indices(x.shape)[1]
    data = np.where(x == 0, np.where(columns % 2, -0.0, 0.0), x).astype(x.dtype)
    indptr = np.arange(0, x.size + 1, x.shape[1])
    return sparse.csr_matrix((data.ravel(), columns.ravel(), indptr), x.shape)


def with_long_indices(x):
    csr = sparse.csr_matrix(x)
    csr.indices, csr.indptr = csr.indices.astype(np.int64), csr.indptr.astype(np.int64)
    return csr


def with_foreign_byte_order(x):
    csr = sparse.csr_matrix(x)
    csr.data = csr.data.astype(">f4")
    return csr


def backed(folder, x):
    AnnData(x).write_h5ad(folder / "x.h5ad")
    return read_h5ad(folder / "x.h5ad", backed="r").X


def in_hdf5(folder, x):
    with h5py.File(folder / "x.h5", "w") as file:
        file["x"] = x
    return h5py.File(folder / "x.h5", "r")["x"]


SPARSE = ["csr_matrix", "csc_matrix", "coo_matrix", "bsr_matrix", "lil_matrix", "dok_matrix", "dia_matrix"]
SPARSE += ["csr_array", "csc_array", "coo_array"]
FORMS = {
    "dense": np.array,
    "fortran": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "matrix": np.asmatrix,
    "masked": lambda x: np.ma.array(x, mask=False),
    "negative_zeros": lambda x: np.where(x == 0, np.float32(-0.0), x),
    "big_endian": lambda x: x.astype(">f4"),
    "big_endian_integers": lambda x: x.astype(">i8"),
    **{name: getattr(sparse, name) for name in SPARSE},
    "repeated": repeated,
    "unsorted": unsorted,
    "with_old_flags": with_old_flags,
    "with_zeros": with_zeros,
    "csc_with_zeros": lambda x: with_zeros(x).tocsc(),
    "with_long_indices": with_long_indices,
    "with_foreign_byte_order": with_foreign_byte_order,
    "csc_with_foreign_byte_order": lambda x: with_foreign_byte_order(x.T.copy()).T,
    "zarr": lambda x: zarr.array(x, store=zarr.storage.MemoryStore()),
    **{dtype: (lambda x, dtype=dtype: x.astype(dtype)) for dtype in ("uint8", "int32", "uint64", "float16", "float64")},
    "longdouble": lambda x: x.astype(np.longdouble),
}


def assert_canonical(found, dense):
    assert isinstance(found, sparse.csr_matrix)
    np.testing.assert_array_equal(found.toarray(), dense)
    assert found.nnz == np.count_nonzero(dense)
    assert (found.data != 0).all()
    assert sparse.csr_matrix((found.data, found.indices, found.indptr), found.shape).has_canonical_format
    assert found.dtype.isnative
    assert found.dtype.itemsize in (1, 2, 4, 8)
    assert found.dtype != np.float16


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_becomes_canonical(form):
    given = form(COUNTS.copy())
    before = deepcopy(given) if sparse.issparse(given) else None
    assert_canonical(canonical(given, "x"), COUNTS)
    if before is not None and before.format == "csr":  # the user's object is unchanged
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(given, part), getattr(before, part))


@pytest.mark.parametrize("form", [np.array, sparse.csr_matrix, sparse.csc_matrix], ids=["dense", "csr", "csc"])
def test_matrix_on_disk(tmp_path, form):
    assert_canonical(canonical(backed(tmp_path, form(COUNTS)), "x"), COUNTS)
    if form is np.array:
        assert_canonical(canonical(in_hdf5(tmp_path, COUNTS), "x"), COUNTS)


def test_dask():
    array = pytest.importorskip("dask.array")
    assert_canonical(canonical(array.from_array(COUNTS, chunks=2), "x"), COUNTS)
    lazy = array.from_array(COUNTS, chunks=(2, -1)).map_blocks(sparse.csr_matrix)
    assert_canonical(canonical(lazy, "x"), COUNTS)


def test_booleans_become_zero_and_one():
    assert_canonical(canonical(COUNTS > 0, "x"), COUNTS > 0)
    assert_canonical(canonical(sparse.csr_matrix(COUNTS > 0), "x"), COUNTS > 0)


def test_sums_of_duplicates_do_not_overflow():
    twice = sparse.csr_matrix((np.array([200, 100], np.uint8), np.array([1, 1]), np.array([0, 2])), (1, 3))
    np.testing.assert_array_equal(canonical(twice, "x").toarray(), [[0, 300, 0]])


def test_duplicates_that_cancel_are_dropped():
    twice = sparse.csr_matrix((np.array([2.0, -2.0]), np.array([1, 1]), np.array([0, 2])), (1, 3))
    assert canonical(twice, "x").nnz == 0


def test_canonical_matrix_is_not_copied():
    counts = sparse.csr_matrix(COUNTS)
    assert np.shares_memory(canonical(counts, "x").data, counts.data)


@given(
    dense=npst.arrays(np.int64, npst.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 4)),
    data=st.data(),
)
def test_duplicates_in_any_order(dense, data):
    """Each count is stored as that many entries of one, in any order within the row."""
    rows, columns = (np.repeat(index.ravel(), dense.ravel()) for index in np.indices(dense.shape))
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=int)
    order = order[np.argsort(rows[order], kind="stable")]
    indptr = np.append(0, np.cumsum(np.bincount(rows, minlength=len(dense))))
    ones = np.ones(len(rows), np.float32)
    assert_canonical(canonical(sparse.csr_matrix((ones, columns[order], indptr), dense.shape), "x"), dense)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_matrix_is_refused(shape):
    with pytest.raises(InputError, match="x is empty"):
        canonical(np.zeros(shape), "x")


@pytest.mark.parametrize(
    "x",
    [
        np.array([["a"]]),
        np.array([[1j]]),
        [[1, 2]],
        np.array([[None, 1]], dtype=object),
        np.ones(3),
        np.ones((2, 2, 2)),
    ],
    ids=["text", "complex", "list", "objects", "vector", "cube"],
)
def test_anything_but_a_numeric_matrix_is_refused(x):
    with pytest.raises(InputError, match=r"^x "):
        canonical(x, "x")


def test_masked_values_are_refused():
    with pytest.raises(InputError, match="masked values"):
        canonical(np.ma.array(COUNTS, mask=COUNTS > 4), "x")


@pytest.mark.parametrize("index", [-1, 4])
def test_damaged_indices_are_refused(index):
    counts = sparse.csr_matrix(COUNTS)
    counts.indices[0] = index
    with pytest.raises(InputError, match="x is damaged"):
        canonical(counts, "x")
