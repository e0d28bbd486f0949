"""A rehearsal finds out before the training whether the results can be written."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scproto._errors import InputError
from scproto.run.rehearse import rehearse

COLUMNS = ["n_cells", "share_a", "cell_type"]


def test_good_cells_leave_no_trace(tiny_atlas, tmp_path):
    tiny_atlas.raw = tiny_atlas.copy()
    tiny_atlas.layers["more"] = tiny_atlas.X.toarray()
    tiny_atlas.obsm["frame"] = pd.DataFrame({"x": range(300)}, index=tiny_atlas.obs_names)
    tiny_atlas.obsm["sparse"] = sparse.eye(300, 5, format="csr")
    tiny_atlas.obsp["graph"] = sparse.eye(300, format="csr")
    rehearse(tiny_atlas, COLUMNS, 10, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda a: a.uns.update(thing=object()), "uns/thing"),
        (lambda a: a.uns.update(outer={"thing": {1, 2}}), "uns/outer"),
        (lambda a: a.obs.insert(0, "mixed", [1, "a"] * 150), "obs"),
        (lambda a: a.var.insert(0, "when", pd.Timestamp("2020-01-01")), "var"),
    ],
    ids=["object", "set", "mixed", "dates"],
)
def test_what_cannot_be_written_is_named(tiny_atlas, tmp_path, spoil, where):
    spoil(tiny_atlas)
    with pytest.raises(InputError, match=f"^{where} of the cells cannot be written") as caught:
        rehearse(tiny_atlas, COLUMNS, 10, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("factor", [1, 10])
def test_the_estimated_disk_space(tiny_atlas, tmp_path, monkeypatch, factor):
    """Without the margin, the estimate is between one and ten times the size of the file of the cells."""
    tiny_atlas.X = sparse.csr_matrix(np.random.default_rng(0).integers(1, 9, (300, 120)).astype(np.float32))
    monkeypatch.setattr("scproto.run.rehearse.MARGIN", 0)
    tiny_atlas.write_h5ad(tmp_path / "cells.h5ad", compression="gzip")
    size = (tmp_path / "cells.h5ad").stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=size * factor))
    if factor == 1:
        with pytest.raises(InputError, match="free some disk space"):
            rehearse(tiny_atlas, COLUMNS, 10, tmp_path)
    else:
        rehearse(tiny_atlas, COLUMNS, 10, tmp_path)


def test_a_disk_that_is_full_already(tiny_atlas, tmp_path, monkeypatch):
    from .test_hdf5 import Full

    monkeypatch.setattr("scproto.run.hdf5.io.FileIO", Full)
    monkeypatch.setattr(Full, "room", 100)
    with pytest.raises(InputError, match="no disk space left"):
        rehearse(tiny_atlas, COLUMNS, 10, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_batches_than_a_table_can_hold(tiny_atlas, tmp_path):
    columns = [f"share_donor_{i}" for i in range(4500)]
    with pytest.raises(InputError, match="give fewer batches"):
        rehearse(tiny_atlas, columns, 10, tmp_path)
    assert not list(tmp_path.iterdir())
