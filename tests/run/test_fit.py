"""The parts of a run that no command shows."""

from __future__ import annotations

import errno
import gc
import pickle
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

import scproto
from scproto import _keys, reporting
from scproto._errors import InputError
from scproto.run import Settings, record, umap, whole
from scproto.run.hdf5 import write_h5ad
from scproto.run.stages import Stages, load_libraries
from scproto.run.standby import Standby
from scproto._threads import default_threads, limit_threads
from scproto.graph import umap_layout


@pytest.mark.parametrize(("cores", "of_torch", "expected"), [(1, 1, 1), (2, 2, 1), (2, 1, 1), (8, 8, 7), (8, 3, 3)])
def test_a_run_leaves_a_core(monkeypatch, cores, of_torch, expected):
    monkeypatch.setattr("scproto._threads.n_cores", lambda: cores)
    monkeypatch.setattr("torch.get_num_threads", lambda: of_torch)
    assert default_threads() == expected


def test_threads_are_limited_and_given_back():
    import numba
    import torch

    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(2)
    with limit_threads(1):
        assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == 2
    with limit_threads(None):
        assert torch.get_num_threads() == 2
    torch.set_num_threads(before[0])
    assert (torch.get_num_threads(), numba.get_num_threads()) == before


def test_a_missing_gpu_is_bad_input(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        load_libraries("gpu")


@pytest.mark.parametrize("collecting", [True, False])
def test_the_collector_is_left_as_it_was(collecting):
    set_to = {True: gc.enable, False: gc.disable}
    set_to[collecting]()
    try:
        load_libraries("auto")
        assert gc.isenabled() == collecting
    finally:
        gc.enable()


def test_figures_that_cannot_be_drawn_are_left_to_the_report(monkeypatch):
    def crash(*args):
        raise RuntimeError("a defect")

    monkeypatch.setattr(reporting, "draw_figures", crash)
    assert whole._draw_figures(None, SimpleNamespace(history={})) is None


@pytest.mark.parametrize(("values", "last"), [([1, 2], 2.0), ([1, np.nan], 1.0), ([np.nan, np.inf], None), ([], None)])
def test_last_value_of_a_history_is_a_number_or_nothing(values, last):
    assert record._last(pd.DataFrame({"loss": values})) == last


def test_stages_are_timed_and_announced():
    from contextlib import contextmanager

    told = []

    @contextmanager
    def announce(name):
        told.append(f"{name} starts")
        yield
        told.append(f"{name} ends")

    stages = Stages(announce)
    with stages("Reading"):
        told.append("work")
    assert told == ["Reading starts", "work", "Reading ends"]
    assert list(stages.seconds) == ["Reading"]
    assert stages.seconds["Reading"] >= 0


def test_settings_are_stored_without_what_anndata_cannot_write():
    stored = Settings(batch_key=("lab",), n_prototypes=5).storable()
    assert stored["batch_key"] == ["lab"]
    assert stored["n_prototypes"] == 5
    assert None not in stored.values()
    assert "label_keys" not in stored


class Layout(Standby):
    """A layout that keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__(umap_layout)
        self.asked: list[bytes] = []

    def begin(self, *args) -> None:
        self.asked.append(pickle.dumps(args))

    def __call__(self, points, seed):
        self.begin(points, seed)
        return np.zeros((len(points), 2), np.float32)


@pytest.mark.parametrize("report", [True, False])
def test_the_layout_is_begun_before_it_is_asked_for(tiny_atlas, tmp_path, report):
    settings = Settings(batch_key=("batch",), n_prototypes=4, max_steps=2, seed=3, report=report)
    layout = Layout()
    _, metacells = whole.fit(tiny_atlas, settings, Stages(), layout, tmp_path, progress_bar=False)
    assert (tmp_path / "model" / "weights.safetensors").exists()
    assert len(layout.asked) == report
    if report:
        write_h5ad(metacells, tmp_path / "metacells.h5ad")
        write_h5ad(tiny_atlas, tmp_path / "cells.h5ad")
        umap.add_umap(tiny_atlas, metacells, layout, 3, tmp_path)
        assert len(layout.asked) == 2
        assert len(set(layout.asked)) == 1


@pytest.mark.parametrize("earlier", [(), (_keys.UMAP,), (_keys.UMAP, _keys.SHOWN_UMAP)])
def test_the_layout_is_added_to_the_files(tiny_atlas, tmp_path, earlier):
    """Where the cells came with the layout of an earlier run it is replaced, but not the one that viewers show."""
    metacells = tiny_atlas[:6].copy()
    for data in (tiny_atlas, metacells):
        data.obsm[_keys.LATENT] = np.eye(data.n_obs, 8)
    for key in earlier:
        tiny_atlas.obsm[key] = np.ones((tiny_atlas.n_obs, 2))
    for data, name in ((tiny_atlas, "cells.h5ad"), (metacells, "metacells.h5ad")):
        data.write_h5ad(tmp_path / name)
    umap.add_umap(tiny_atlas, metacells, Layout(), 3, tmp_path)
    for data, name in ((tiny_atlas, "cells.h5ad"), (metacells, "metacells.h5ad")):
        written = read_h5ad(tmp_path / name)
        assert set(written.obsm) == set(data.obsm)
        for key in data.obsm:
            np.testing.assert_array_equal(written.obsm[key], data.obsm[key])
        assert (written.obsm[_keys.UMAP] == 0).all()
    own = _keys.SHOWN_UMAP in earlier
    assert (tiny_atlas.obsm[_keys.SHOWN_UMAP] == own).all()
    assert (_keys.SHOWN_UMAP in metacells.obsm) != own


def test_a_model_that_cannot_be_saved_in_the_run_is_saved_elsewhere(tiny_atlas, tmp_path, monkeypatch):
    run, elsewhere = tmp_path / "run", tmp_path / "temporary"
    run.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    save = scproto.SCPROTO.save

    def full(self, path, **_):
        if path.is_relative_to(run):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path)

    monkeypatch.setattr(scproto.SCPROTO, "save", full)
    settings = Settings(batch_key=("batch",), n_prototypes=4, max_steps=2, report=False)
    with pytest.raises(OSError, match="No space") as caught:
        whole.fit(tiny_atlas, settings, Stages(), Layout(), run, progress_bar=False)
    [kept] = elsewhere.glob("*/model")
    assert caught.value.__notes__ == [f"The trained model is kept in {kept}."]
    assert len(scproto.SCPROTO.load(kept).prototypes) == 4
