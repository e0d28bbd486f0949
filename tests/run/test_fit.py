"""The parts of a run that no command shows."""

from __future__ import annotations

import errno
import gc
import sys
from collections import Counter
from contextlib import nullcontext
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

import scproto
from scproto import _keys, reporting
from scproto._errors import InputError
from scproto._threads import default_threads, limit_threads
from scproto.datasets import simulate_atlas
from scproto.graph import umap_layout
from scproto.run import Settings, fit, record, run, umap
from scproto.run.hdf5 import writing_h5ad
from scproto.run.job import Job
from scproto.run.stages import Stages, load_libraries


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
    assert fit._draw_figures(None, SimpleNamespace(history={})) is None


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


class Layout(Job):
    """A layout that keeps what it was asked for."""

    def __init__(self) -> None:
        super().__init__(umap_layout)
        self.submitted: list[np.ndarray] = []

    def submit(self, points: np.ndarray, seed: int) -> None:
        self.submitted.append(points)

    def result(self) -> np.ndarray:
        return np.zeros((len(self.submitted[-1]), 2), np.float32)


@pytest.fixture
def layout(monkeypatch) -> Layout:
    """The layout that runs ask for."""
    job = Layout()
    monkeypatch.setattr(fit, "layout_job", lambda settings: nullcontext(job))
    return job


@pytest.mark.parametrize("report", [True, False])
def test_the_layout_is_of_the_cells_and_of_the_metacells_that_have_some(tiny_atlas, tmp_path, layout, report):
    settings = Settings(batch_key=("batch",), n_prototypes=30, max_steps=2, seed=3, report=report)
    run(lambda: tiny_atlas, tmp_path / "run", settings)
    cells, metacells = (read_h5ad(tmp_path / "run" / name) for name in ("cells.h5ad", "metacells.h5ad"))
    assert len(layout.submitted) == report
    for points in layout.submitted:
        np.testing.assert_array_equal(points, np.concatenate([cells.obsm[_keys.LATENT], metacells.obsm[_keys.LATENT]]))
    assert (_keys.UMAP in cells.obsm) == (_keys.UMAP in metacells.obsm) == report


@pytest.mark.parametrize("earlier", [(), (_keys.UMAP,), (_keys.UMAP, _keys.SHOWN_UMAP)])
def test_the_layout_is_added_to_the_files(tiny_atlas, tmp_path, earlier):
    """Where the cells came with the layout of an earlier run it is replaced, but not the one that viewers show."""
    metacells, layout = tiny_atlas[:6].copy(), Layout()
    for key in earlier:
        tiny_atlas.obsm[key] = np.ones((tiny_atlas.n_obs, 2))
    layout.submit(np.zeros((tiny_atlas.n_obs + 6, 8)), 3)
    shown = {key: tiny_atlas.obsm.pop(key) for key in earlier if key == _keys.UMAP}  # as a run forgets its own
    with (
        writing_h5ad(tiny_atlas, tmp_path / "cells.h5ad") as first,
        writing_h5ad(metacells, tmp_path / "metacells.h5ad") as second,
    ):
        umap.add_umap(tiny_atlas, metacells, layout, [first, second])
    assert len(shown) == (_keys.UMAP in earlier)
    for data, name in ((tiny_atlas, "cells.h5ad"), (metacells, "metacells.h5ad")):
        written = read_h5ad(tmp_path / name)
        assert set(written.obsm) == set(data.obsm)
        for key in data.obsm:
            np.testing.assert_array_equal(written.obsm[key], data.obsm[key])
        assert (written.obsm[_keys.UMAP] == 0).all()
    own = _keys.SHOWN_UMAP in earlier
    assert (tiny_atlas.obsm[_keys.SHOWN_UMAP] == own).all()
    assert (_keys.SHOWN_UMAP in metacells.obsm) != own


@pytest.mark.parametrize("error", [RuntimeError("no layout"), KeyboardInterrupt()], ids=["error", "ctrl_c"])
def test_without_a_layout_cells_and_metacells_are_kept(tiny_atlas, tmp_path, layout, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(layout, "result", fail)
    settings = Settings(batch_key=("batch",), n_prototypes=4, max_steps=2)
    with pytest.raises(type(error)) as caught:
        run(lambda: tiny_atlas, tmp_path / "run", settings)
    assert "cells.h5ad, metacells.h5ad, model" in caught.value.__notes__[0]
    assert _keys.LATENT in read_h5ad(tmp_path / "run.incomplete" / "cells.h5ad").obsm


def test_a_model_that_cannot_be_saved_in_the_run_is_saved_elsewhere(tiny_atlas, tmp_path, monkeypatch):
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    save = scproto.SCPROTO.save

    def full(self, path, **_):
        if not path.is_relative_to(elsewhere):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path)

    monkeypatch.setattr(scproto.SCPROTO, "save", full)
    settings = Settings(batch_key=("batch",), n_prototypes=4, max_steps=2, report=False)
    with pytest.raises(OSError, match="No space") as caught:
        run(lambda: tiny_atlas, tmp_path / "run", settings)
    [kept] = elsewhere.glob("*/model")
    assert f"The trained model is kept in {kept}." in caught.value.__notes__
    assert len(scproto.SCPROTO.load(kept).prototypes) == 4


def test_counts_are_read_once_and_cells_embedded_aligned_and_assigned_once_after_the_training(tmp_path, monkeypatch):
    """All readers of counts and all that place cells are counted; a training of 8 epochs looks once."""
    calls: Counter[str] = Counter()

    def count(module: str, name: str) -> None:
        function = getattr(import_module(module), name)

        def counted(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        for loaded in [m for key, m in sys.modules.items() if key.startswith("scproto")]:
            if getattr(loaded, name, None) is function:
                monkeypatch.setattr(loaded, name, counted)

    import scproto.model
    import scproto.reporting
    import scproto.tl  # so that all of them are loaded  # noqa: F401

    for module, name in (
        ("scproto.counts.canonical", "canonical"),
        ("scproto.counts.values", "examine"),
        ("scproto.data.reader", "select_genes"),
        ("scproto.network.embed", "embed"),
        ("scproto.nn.alignment", "fit_alignment"),
        ("scproto.metacells.assignment", "assign"),
        ("scproto.metacells.table", "sum_counts"),
    ):
        count(module, name)
    atlas = simulate_atlas(120, 50, 2, 3, depth=300, seed=2)
    run(lambda: atlas, tmp_path / "run", Settings(batch_key=("batch",), n_prototypes=6, max_steps=8, threads=1))
    looks = {"embed": 1, "fit_alignment": 1}  # of the start of the prototypes
    expected = {"canonical": 1, "examine": 1, "select_genes": 1, "assign": 1, "sum_counts": 1}
    assert calls == expected | {name: n + 1 for name, n in looks.items()}


def test_a_stopped_training_is_resumed(tiny_atlas, tmp_path, monkeypatch, caplog):
    """Of a run that stopped after its training the state is there; the resumed one ends equal to the last bit."""
    settings = Settings(batch_key=("batch",), n_prototypes=6, max_steps=24, report=False)
    monkeypatch.setattr("scproto.train.checkpoint.Checkpoint.__init__.__defaults__", (0.0,))

    def stop(*_, **__):
        raise RuntimeError("stopped")

    run(tiny_atlas.copy, tmp_path / "whole", settings)
    assert not (tmp_path / "whole.checkpoint").exists()
    with monkeypatch.context() as patch:
        patch.setattr(scproto.SCPROTO, "save", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            run(tiny_atlas.copy, tmp_path / "run", settings)
    assert (tmp_path / "run.checkpoint").is_file()
    run(tiny_atlas.copy, tmp_path / "run", settings, resume=True)
    assert not (tmp_path / "run.checkpoint").exists()
    first, again = (read_h5ad(tmp_path / name / "cells.h5ad") for name in ("whole", "run"))
    np.testing.assert_array_equal(again.obsm[_keys.LATENT], first.obsm[_keys.LATENT])
    assert not caplog.records


def test_without_a_checkpoint_the_training_starts_anew(tiny_atlas, tmp_path, caplog):
    settings = Settings(batch_key=("batch",), n_prototypes=6, max_steps=2, report=False)
    run(tiny_atlas.copy, tmp_path / "run", settings, resume=True)
    assert "the training starts anew" in caplog.text
