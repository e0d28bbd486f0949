"""Parts of a run that the commands do not show."""

from __future__ import annotations

import errno
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from anndata import read_h5ad

import scproto
from scproto import _keys, reporting
from scproto.datasets import simulate_atlas
from scproto.run import Settings, fit, run


def test_figures_that_cannot_be_drawn_are_left_to_the_report(monkeypatch):
    def crash(*args):
        raise RuntimeError("a defect")

    monkeypatch.setattr(reporting, "draw_figures", crash)
    assert fit._draw_figures(None, SimpleNamespace(history={})) is None


@pytest.fixture
def layout_of_runs(monkeypatch, layout):
    """The layout job that runs use."""
    monkeypatch.setattr(fit, "layout_job", lambda settings: nullcontext(layout))
    return layout


@pytest.mark.parametrize("report", [True, False])
def test_the_layout_has_all_cells_and_the_metacells_that_have_cells(tiny_atlas, tmp_path, layout_of_runs, report):
    settings = Settings(batch_key=("batch",), n_prototypes=30, max_steps=2, seed=3, report=report)
    run(lambda: tiny_atlas, tmp_path / "run", settings)
    cells, metacells = (read_h5ad(tmp_path / "run" / name) for name in ("cells.h5ad", "metacells.h5ad"))
    assert len(layout_of_runs.submitted) == report
    for points in layout_of_runs.submitted:
        np.testing.assert_array_equal(points, np.concatenate([cells.obsm[_keys.LATENT], metacells.obsm[_keys.LATENT]]))
    assert (_keys.UMAP in cells.obsm) == (_keys.UMAP in metacells.obsm) == report


@pytest.mark.parametrize("error", [RuntimeError("no layout"), KeyboardInterrupt()], ids=["error", "ctrl_c"])
def test_if_the_layout_fails_cells_and_metacells_are_kept(tiny_atlas, tmp_path, layout_of_runs, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(layout_of_runs, "result", fail)
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
    """Count the calls of all functions that read counts or place cells. A training of 8 epochs looks once."""
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
    looks = {"embed": 1, "fit_alignment": 1}  # at the start of the prototypes
    expected = {"canonical": 1, "examine": 1, "select_genes": 1, "sum_counts": 1}
    # to metacells, along the axes, and a sample per batch and level for the dispersions (the cell's own needs none)
    assigned = {"assign": 1 + 1 + 2 * 2}
    assert calls == expected | assigned | {name: n + 1 for name, n in looks.items()}


def test_a_stopped_training_is_resumed(tiny_atlas, tmp_path, monkeypatch, caplog):
    """A run that stops after training leaves its state. The resumed run equals an undisturbed one to the last bit."""
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


def test_further_seeds_only_tell_which_metacells_they_give(tiny_atlas, tmp_path):
    settings = Settings(batch_key=("batch",), n_prototypes=6, max_steps=24, seed=2**32 - 1, report=False)
    records = {n: run(tiny_atlas.copy, tmp_path / str(n), replace(settings, seeds=n)) for n in (1, 3)}
    one, three = ({name: read_h5ad(tmp_path / n / f"{name}.h5ad") for name in ("cells", "metacells")} for n in "13")
    np.testing.assert_array_equal(one["cells"].obsm[_keys.LATENT], three["cells"].obsm[_keys.LATENT])
    assert one["cells"].obs.equals(three["cells"].obs)
    assert [name for name in records[3]["timings"] if "Training" in name] == [
        "Training",
        "Training 2 of 3",
        "Training 3 of 3",
    ]
    assert records[3]["settings"]["seeds"] == 3
    for n, files in ((1, one), (3, three)):
        found = records[n]["verdict"]["stability"]
        record = files["cells"].uns[_keys.UNS][_keys.STABILITY]
        assert (found["n_others"], found["trained"]) == ((4, False) if n == 1 else (2, True))
        assert found["agreement"] == record["agreement"]
        np.testing.assert_array_equal(files["metacells"].obs[_keys.STABILITY][record["metacell"]], record["overlap"])
    assert scproto.tl.check(three["cells"], seed=settings.seed).sentences == records[3]["verdict"]["sentences"]
    other = [run(tiny_atlas.copy, tmp_path / f"seed{seed}", replace(settings, seed=seed)) for seed in (0, 1)]
    assert len(other) == 2
    others = [read_h5ad(tmp_path / f"seed{seed}" / "cells.h5ad").obs[_keys.METACELL].astype(str) for seed in (0, 1)]
    own = three["cells"].obs[_keys.METACELL].astype(str)
    np.testing.assert_array_equal(
        three["cells"].uns[_keys.UNS][_keys.STABILITY]["overlap"], scproto.metrics.best_overlap(own, others)
    )
