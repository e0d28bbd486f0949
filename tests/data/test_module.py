from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import DataLoader

from scproto.data.minibatch import Minibatch, encoder_input, make_minibatch
from scproto.data.module import CellViews, ViewDataModule
from scproto.data.views import ViewSampler
from scproto.graph import within_batch_neighbors


@pytest.fixture
def cells() -> CellViews:
    rng = np.random.default_rng(0)
    return CellViews(sp.csr_matrix(rng.poisson(1.0, (30, 8)).astype(np.float32)), rng.integers(0, 2, 30))


def views_of(cells: CellViews) -> ViewSampler:
    graph = within_batch_neighbors(cells.counts.toarray(), cells.batch, 3)
    views = ViewSampler(graph, 7, 4, seed=1)
    views.paired = True
    return views


def test_loader_gives_the_minibatches_of_the_sampler(cells):
    loader = ViewDataModule(cells, views_of(cells)).train_dataloader()
    assert isinstance(loader, DataLoader)
    assert len(loader) == 4
    for minibatch, views in zip(loader, views_of(cells), strict=True):
        assert isinstance(minibatch, Minibatch)
        expected = make_minibatch(cells.counts, cells.batch, views)
        for name in ("batch", "rows", "columns", "counts", "library"):
            assert torch.equal(getattr(minibatch, name), getattr(expected, name))
        assert torch.equal(minibatch.x.to_dense(), expected.x.to_dense())


def test_chunks_of_consecutive_cells_make_up_all_of_them(cells):
    device = torch.device("cpu")
    parts = [cells.inputs(start, 11, device)[0].to_dense() for start in range(0, len(cells), 11)]
    assert torch.equal(torch.cat(parts), encoder_input(cells.counts)[0].to_dense())
