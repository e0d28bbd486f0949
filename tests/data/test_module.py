from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.utils.data import DataLoader

from scproto.data.memory import MemoryCells
from scproto.data.minibatch import Minibatch, gather, normalise
from scproto.data.module import ViewDataModule
from scproto.data.sampler import Guidance, Request, ViewSampler
from scproto.data.source import gene_share
from scproto.graph import within_batch_neighbors

LAYOUTS = pytest.mark.parametrize("dense_above", [1.0, 0.0], ids=["sparse", "dense"])

VIEWS = np.array([[3, 0, 4, 4], [1, 2, 4, 0]])
BATCH = np.array([0, 0, 1, 1, 2])
GENES = {"all": np.arange(12), "some": np.array([7, 0, 11, 2]), "one": np.array([5]), "none": np.arange(0)}


@pytest.fixture
def counts() -> np.ndarray:
    """Five cells; the last one has no count."""
    counts = np.random.default_rng(0).poisson(1.5, (5, 12)).astype(np.float32)
    counts[4] = 0
    return counts


@pytest.fixture
def few(counts) -> MemoryCells:
    return MemoryCells(sp.csr_matrix(counts), BATCH)


@LAYOUTS
@pytest.mark.parametrize("n_views", [1, 2])
def test_all_views_are_gathered_anchors_first(few, counts, monkeypatch, n_views, dense_above):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
    views = VIEWS[:n_views]
    minibatch = gather(few, Request(views, GENES["some"]))
    expected = normalise(sp.csr_matrix(counts)).toarray()[views.ravel()]
    np.testing.assert_array_equal(minibatch.x.to_dense().numpy(), expected)
    if dense_above:
        np.testing.assert_array_equal(minibatch.x_transposed.to_dense().numpy(), expected.T)
    else:
        assert minibatch.x_transposed is None
    np.testing.assert_array_equal(minibatch.batch.numpy(), BATCH[views])


@pytest.mark.parametrize("genes", GENES.values(), ids=GENES)
@pytest.mark.parametrize("views", [VIEWS[:1], VIEWS, VIEWS[:, :1], VIEWS[:, 2:3]], ids=["1", "2", "cell", "empty"])
def test_coordinates_hold_the_counts_of_the_anchors_in_the_genes(few, counts, views, genes):
    minibatch = gather(few, Request(views, genes))
    dense = np.zeros((views.shape[1], len(genes)))
    np.add.at(dense, (minibatch.rows.numpy(), minibatch.columns.numpy()), minibatch.counts.numpy())
    np.testing.assert_array_equal(dense, counts[views[0]][:, genes])
    np.testing.assert_array_equal(minibatch.genes.numpy(), genes)
    assert minibatch.rows.dtype == minibatch.columns.dtype == minibatch.genes.dtype == torch.int64
    assert minibatch.counts.dtype == minibatch.library.dtype == torch.float32


@pytest.mark.parametrize("genes", GENES.values(), ids=GENES)
def test_library_counts_all_genes_whichever_are_decoded(few, counts, genes):
    minibatch = gather(few, Request(VIEWS, genes))
    np.testing.assert_array_equal(minibatch.library.numpy(), np.maximum(counts[VIEWS[0]].sum(1), 1))


def test_all_cells_empty():
    minibatch = gather(MemoryCells(sp.csr_matrix((5, 12), dtype=np.float32), BATCH), Request(VIEWS, GENES["some"]))
    assert minibatch.x.to_dense().abs().sum() == 0
    assert len(minibatch.rows) == len(minibatch.columns) == len(minibatch.counts) == 0
    assert minibatch.library.tolist() == [1] * 4


def test_what_was_gathered_is_a_copy(few, counts, monkeypatch):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", 1.0)
    minibatch = gather(few, Request(np.arange(5)[None], GENES["all"]))
    for values in (minibatch.counts, minibatch.library, minibatch.x.values()):
        values.zero_()
    np.testing.assert_array_equal(few.counts.toarray(), counts)
    np.testing.assert_array_equal(few.library, np.maximum(counts.sum(1), 1))


def test_gene_share_is_the_mean_over_the_cells(few, counts):
    expected = np.zeros(12)
    for row in counts[:4]:
        expected += row / row.sum() / 5  # the fifth cell has no count
    assert gene_share(few).shape == (12,)
    assert gene_share(few).dtype == np.float32
    np.testing.assert_allclose(gene_share(few), expected, rtol=1e-5)
    np.testing.assert_allclose(gene_share(few).sum(), 0.8, rtol=1e-5)


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
