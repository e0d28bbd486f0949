"""A failing disk raises a Python error and leaves no partial file."""

from __future__ import annotations

import errno
import io
import subprocess
import sys

import anndata as ad
import h5py
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from scproto.run.hdf5 import open_hdf5, writing_h5ad


@pytest.fixture
def cells():
    return AnnData(sparse.csr_matrix(np.random.default_rng(0).poisson(0.4, (200, 300)).astype(np.float32)))


class Full(io.FileIO):
    """A file on a disk with space for `room` bytes."""

    room = 20_000

    def write(self, data):
        if self.tell() + len(data) > self.room:
            if self.tell() < self.room:  # the system writes as much as fits
                return super().write(memoryview(data)[: self.room - self.tell()])
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_the_file_equals_that_of_anndata(cells, tmp_path):
    cells.obs["kind"] = ["a", "b"] * 100
    cells.raw = cells.copy()
    with writing_h5ad(cells, tmp_path / "ours.h5ad"):
        pass
    cells.write_h5ad(tmp_path / "theirs.h5ad", compression="gzip")
    ours, theirs = (ad.read_h5ad(tmp_path / name) for name in ("ours.h5ad", "theirs.h5ad"))
    assert (ours.X != theirs.X).nnz == 0
    assert (ours.raw.X != theirs.raw.X).nnz == 0
    assert ours.obs.equals(theirs.obs)
    with h5py.File(tmp_path / "ours.h5ad") as first, h5py.File(tmp_path / "theirs.h5ad") as second:
        assert set(first) == set(second)
        assert dict(first.attrs) == dict(second.attrs)


@pytest.mark.parametrize("room", [0, 100, 5_000, 20_000])
def test_a_full_disk(cells, tmp_path, monkeypatch, room):
    monkeypatch.setattr("scproto.run.hdf5.io.FileIO", Full)
    monkeypatch.setattr(Full, "room", room)
    with pytest.raises(OSError, match="No space left") as caught, writing_h5ad(cells, tmp_path / "cells.h5ad"):
        pass
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_file_can_be_changed(tmp_path):
    with open_hdf5(tmp_path / "a.h5") as file:
        file["x"] = np.arange(3)
    with open_hdf5(tmp_path / "a.h5", "r+") as file:
        file["y"] = np.arange(4)
    with h5py.File(tmp_path / "a.h5") as file:
        assert (len(file["x"]), len(file["y"])) == (3, 4)


def test_an_error_in_the_block_is_that_of_the_block(tmp_path):
    with pytest.raises(KeyError, match="mine"), open_hdf5(tmp_path / "a.h5"):
        raise KeyError("mine")


FILLING = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from test_hdf5 import Full
from scproto.run import hdf5
hdf5.io.FileIO = Full
try:
    with hdf5.open_hdf5(sys.argv[2]) as file:
        file["x"] = np.random.default_rng(0).random(100_000)
        file.attrs["more"] = 1
except OSError as error:
    print(error.strerror)
"""


def test_the_process_ends_without_a_crash(tmp_path):
    """HDF5 does not try again, and crash, when Python ends."""
    command = [sys.executable, "-c", FILLING, __file__.rsplit("/", 1)[0], str(tmp_path / "a.h5")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "No space left on device\n"
