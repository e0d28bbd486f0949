"""A tiny file of counts, and a stand-in for the model for tests of the command line alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from typer.testing import CliRunner

from scproto import _keys
from scproto.cli import app
from scproto.inputs import join_batches
from scproto.run import fit
from scproto.run.admit import Admitted
from scproto.run.job import Job
from scproto.run.stages import Stages


@pytest.fixture
def cells() -> AnnData:
    """24 cells of 2 types with 10 genes, from 2 labs on 2 days."""
    n_cells, n_genes = 24, 10
    rng = np.random.default_rng(0)
    cells = AnnData(sparse.csr_matrix(rng.poisson(2, (n_cells, n_genes)) + 1, dtype=np.float32))
    cells.obs_names = [f"cell{i}" for i in range(n_cells)]
    cells.obs["lab"] = pd.Categorical(np.tile(["a", "b"], n_cells // 2))
    cells.obs["day"] = pd.Categorical(np.repeat(["1", "2"], n_cells // 2))
    cells.obs["cell_type"] = pd.Categorical(np.repeat(["B", "T"], n_cells // 2))
    return cells


class FakeModel:
    """The parts of a fitted model that a run uses."""

    def __init__(self) -> None:
        last = {"loss": [3.0, 2.0], "loss_swav": [np.nan, 1.0], "prototypes_used": [np.nan, np.nan]}
        self.history = {name: pd.DataFrame({name: values}) for name, values in last.items()}


def fake_train(admitted: Admitted, stages: Stages, folder: Path, *_: object, **__: object) -> FakeModel:
    adata = admitted.adata
    with stages("Training"):
        adata.obs[_keys.BATCH] = join_batches(adata.obs, admitted.settings.batch_key)
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_text("weights")
        adata.uns["_scvi_uuid"] = "random"
        adata.obs["_scvi_batch"] = 0
    return FakeModel()


def fake_assign(admitted: Admitted, *_: object) -> AnnData:
    adata = admitted.adata
    adata.obs[_keys.METACELL] = pd.Categorical([f"metacell_{i % 3}" for i in range(adata.n_obs)])
    adata.obs[_keys.OUTLIER] = False
    return AnnData(np.ones((3, adata.n_vars), dtype=np.float32))


def fake_report(
    adata: AnnData, metacells: AnnData, model: FakeModel, settings: Any, folder: Path, figures: Any
) -> list[str]:
    (folder / "report.html").write_text("report")
    return ["report.html"]


@pytest.fixture
def cells_file(tmp_path: Path, cells: AnnData) -> Path:
    """File of those cells, alone in its folder."""
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    return path


@pytest.fixture
def fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run do everything except the heavy work."""
    monkeypatch.setattr(fit, "load_libraries", lambda accelerator: None)
    monkeypatch.setattr(fit, "layout_job", lambda settings: nullcontext(Job(len)))
    monkeypatch.setattr(fit, "train", fake_train)
    monkeypatch.setattr(fit, "assign", fake_assign)
    monkeypatch.setattr(fit, "_draw_figures", lambda *_: None)
    monkeypatch.setattr(fit, "add_umap", lambda *_: None)
    monkeypatch.setattr(fit, "_write_report", fake_report)


@pytest.fixture
def no_heavy_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a run continues after its checks."""
    monkeypatch.setattr(fit, "load_libraries", lambda accelerator: pytest.fail("the run went on"))


@pytest.fixture
def cli() -> Callable[[Sequence[object]], Any]:
    """Function that runs the command line in this process."""

    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke
