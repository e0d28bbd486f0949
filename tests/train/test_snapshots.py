from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData

from scproto import pp
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO
from scproto.network import embed
from scproto.train import Snapshots
from scproto.train.schedule import plan_budget


@pytest.fixture(scope="module")
def atlas() -> AnnData:
    atlas = simulate_atlas(90, 50, 2, 3, depth=300, seed=2)
    pp.prepare(atlas, "batch")
    return atlas


def fit(atlas: AnnData, **arguments) -> SCPROTO:
    SCPROTO.setup_anndata(atlas)
    model = SCPROTO(atlas, n_prototypes=8, n_hidden=16)
    model.train(20, accelerator="cpu", enable_progress_bar=False, batch_size=32, early_stopping=False, **arguments)
    return model


@pytest.fixture(scope="module")
def watched(atlas: AnnData) -> tuple[SCPROTO, Snapshots]:
    snapshots = Snapshots(n_cells=30)
    return fit(atlas, callbacks=[snapshots]), snapshots


def test_each_epoch_has_a_snapshot(watched) -> None:
    _, snapshots = watched
    budget = plan_budget(90, 8, 32, max_steps=20)
    assert [frame.epoch for frame in snapshots.frames] == list(range(budget.n_epochs))
    for frame in snapshots.frames:
        assert len(frame.prototypes) == (0 if frame.epoch < budget.n_warmup_epochs else 8)
        for points in (frame.cells, frame.prototypes):
            np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=1e-5)
    moves = [np.abs(a.cells - b.cells).max() for a, b in zip(snapshots.frames, snapshots.frames[1:], strict=False)]
    assert min(moves) > 0


def test_the_last_snapshot_is_the_embedding_of_these_cells(watched) -> None:
    model, snapshots = watched
    assert len(set(snapshots.cells)) == 30
    assert snapshots.n_cells_in_all == 90
    expected = embed(model.module, model.cells()).numpy()[snapshots.cells]
    np.testing.assert_allclose(snapshots.frames[-1].cells, expected, atol=1e-6)


def test_snapshots_do_not_change_the_training(atlas: AnnData, watched) -> None:
    np.testing.assert_array_equal(fit(atlas).prototypes, watched[0].prototypes)


def test_few_cells_are_all_kept_and_a_second_training_starts_anew(atlas: AnnData) -> None:
    snapshots = Snapshots()
    for _ in range(2):
        fit(atlas, callbacks=[snapshots])
        assert snapshots.cells.tolist() == list(range(90))
        assert len(snapshots.frames) == 20
