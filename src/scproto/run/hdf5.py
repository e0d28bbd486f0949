"""HDF5 files that raise a Python error when the disk is full, instead of crashing the process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from anndata import AnnData
from anndata.io import write_elem

from .._files import atomic_path
from .storable import make_storable

COMPRESSION = {"compression": "gzip"}


class _Forgiving(io.RawIOBase):
    """A file that remembers the first error in writing, and from then on only pretends to write.

    HDF5 keeps what it could not write, tries again when the process ends, and crashes it. This file hides the error
    from HDF5.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self._file = io.FileIO(path, mode)
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data; a raw file may write only a part."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self.error is None and len(left):
                left = left[self._file.write(left) :]
        except OSError as error:
            self.error = error
        return size

    def readinto(self, buffer: Any) -> int:
        """Read; bytes that were never written are zeros."""
        view = memoryview(buffer).cast("B")
        n_read = self._file.readinto(view)
        view[n_read:] = bytes(len(view) - n_read)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, which takes no disk space."""
        return self._file.truncate(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the current position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@contextmanager
def open_hdf5(path: Path, mode: str = "w") -> Iterator[h5py.File]:
    """Open an HDF5 file to write (``w``) or to change (``r+``).

    Raises
    ------
    OSError
        When the block ends, if something could not be written.
    """
    raw = _Forgiving(path, {"w": "w+", "r+": "r+"}[mode])
    try:
        with h5py.File(raw, mode) as file:
            yield file
        if raw.error is not None:
            raise type(raw.error)(raw.error.errno, raw.error.strerror, str(path))
    finally:
        raw.close()


AddArrays = Callable[[Mapping[str, Any]], None]
"""Function that adds arrays to ``obsm`` of a file."""


@contextmanager
def writing_h5ad(adata: AnnData, path: Path) -> Iterator[AddArrays]:
    """Write AnnData as ``.h5ad``, in encodings that every reader knows, and let the block add to ``obsm``.

    The file gets its name, complete, once the block ends. After an error in the block it is complete, too, but lacks
    what the block would have added.

    Raises
    ------
    OSError
        If the file cannot be written; it is then absent.
    """
    make_storable(adata)
    failed: BaseException | None = None
    with atomic_path(path) as temporary, open_hdf5(temporary) as file:
        write_elem(file, "/", adata, dataset_kwargs=COMPRESSION)
        if adata.raw is None and "raw" in file:
            del file["raw"]  # newer anndata writes an empty one, which older readers do not know
        try:
            yield partial(_add, file)
        except BaseException as error:
            failed = error
    if failed is not None:
        raise failed


def _add(file: h5py.File, arrays: Mapping[str, Any]) -> None:
    try:
        for name, values in arrays.items():
            write_elem(file["obsm"], name, values, dataset_kwargs=COMPRESSION)
    except BaseException:
        for name in arrays:
            if name in file["obsm"]:
                del file["obsm"][name]
        raise
