from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import DataLoader

from scproto.data.memory import MemoryCells
from scproto.data.minibatch import Minibatch, gather
from scproto.data.module import ViewDataModule
from scproto.data.sampler import Guidance, ViewSampler
from scproto.data.source import gene_share
from scproto.graph import within_batch_neighbors

LAYOUTS = pytest.mark.parametrize("dense_above", [1.0, 0.0], ids=["sparse", "dense"])


@pytest.fixture
def cells() -> MemoryCells:
    rng = np.random.default_rng(0)
    return MemoryCells(sp.csr_matrix(rng.poisson(1.0, (30, 8)).astype(np.float32)), rng.integers(0, 2, 30))


def views_of(cells: MemoryCells) -> ViewSampler:
    graph = within_batch_neighbors(cells.counts.toarray(), cells.batch, 3)
    views = ViewSampler(graph, np.argsort(gene_share(cells)), 7, 4, seed=1)
    views.follow(Guidance(np.ones(30), paired=True))
    return views


@LAYOUTS
def test_loader_gives_the_minibatches_of_the_sampler(cells, monkeypatch, dense_above):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
    monkeypatch.setattr("scproto.data.sampler.DECODED_GENES", 3)
    loader = ViewDataModule(cells, views_of(cells)).loader(torch.device("cpu"))
    assert isinstance(loader, DataLoader)
    assert len(loader) == 4
    for minibatch, request in zip(loader, views_of(cells), strict=True):
        assert isinstance(minibatch, Minibatch)
        expected = gather(cells, request)
        for name in (field.name for field in fields(Minibatch)):
            found, wanted = getattr(minibatch, name), getattr(expected, name)
            assert found is wanted is None or torch.equal(found.to_dense(), wanted.to_dense()), name
        assert minibatch.genes.tolist() == request.genes.tolist()
