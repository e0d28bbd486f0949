"""Every source of cells gives the same cells, and the same model."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto import pp, tl
from scproto._errors import InputError
from scproto.data.device import DeviceCells
from scproto.data.memory import MemoryCells
from scproto.data.source import CellSource, gene_share
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO

CPU = {"accelerator": "cpu", "enable_progress_bar": False, "batch_size": 32}


class RowsOnDemand:
    """A source that holds no matrix: a function makes each row when it is asked for."""

    def __init__(self, make: Callable[[int], np.ndarray], batch: np.ndarray, n_genes: int) -> None:
        self.make, self.batch, self.n_cells, self.n_genes = make, batch, len(batch), n_genes

    @property
    def library(self) -> np.ndarray:
        return np.array([max(self.make(cell).sum(), 1) for cell in range(self.n_cells)], np.float32)

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return sp.csr_matrix(np.array([self.make(int(cell)) for cell in rows]).reshape(len(rows), self.n_genes))

    def blocks(self, n: int) -> Iterator[tuple[slice, sp.csr_matrix]]:
        for start in range(0, self.n_cells, n):
            cells = slice(start, min(start + n, self.n_cells))
            yield cells, self.take(np.arange(cells.start, cells.stop))


def sources_of(dense: np.ndarray, batch: np.ndarray) -> list[CellSource]:
    memory = MemoryCells(sp.csr_matrix(dense), batch)
    return [memory, DeviceCells(memory, torch.device("cpu")), RowsOnDemand(dense.__getitem__, batch, dense.shape[1])]


@settings(deadline=None, max_examples=100)
@given(
    n_cells=st.integers(1, 9),
    n_genes=st.integers(1, 6),
    block=st.integers(1, 11),
    rate=st.sampled_from([0.0, 0.5, 3.0]),
    seed=st.integers(0, 99),
)
def test_sources_agree_with_the_dense_matrix(n_cells, n_genes, block, rate, seed):
    rng = np.random.default_rng(seed)
    dense, batch = rng.poisson(rate, (n_cells, n_genes)).astype(np.int32), rng.integers(0, 3, n_cells)
    rows = rng.integers(0, n_cells, rng.integers(0, 12))
    share = (dense / np.maximum(dense.sum(1, keepdims=True), 1)).mean(0)
    for source in sources_of(dense, batch):
        assert isinstance(source, CellSource)
        assert (source.n_cells, source.n_genes) == dense.shape
        np.testing.assert_array_equal(source.batch, batch)
        np.testing.assert_array_equal(source.library, np.maximum(dense.sum(1), 1))
        np.testing.assert_array_equal(source.take(rows).toarray(), dense[rows])
        found = list(source.blocks(block))
        np.testing.assert_array_equal(np.concatenate([np.arange(n_cells)[cells] for cells, _ in found]), range(n_cells))
        np.testing.assert_array_equal(np.concatenate([counts.toarray() for _, counts in found]), dense)
        assert max(counts.shape[0] for _, counts in found) <= block
        np.testing.assert_allclose(gene_share(source), share, rtol=1e-5, atol=1e-7)


def test_gene_share_is_the_mean_over_the_cells():
    counts = np.random.default_rng(0).poisson(1.5, (5, 12)).astype(np.float32)
    counts[4] = 0
    few = MemoryCells(sp.csr_matrix(counts), np.array([0, 0, 1, 1, 2]))
    expected = np.zeros(12)
    for row in counts[:4]:
        expected += row / row.sum() / 5  # the fifth cell has no count
    assert gene_share(few).shape == (12,)
    assert gene_share(few).dtype == np.float32
    np.testing.assert_allclose(gene_share(few), expected, rtol=1e-5)
    np.testing.assert_allclose(gene_share(few).sum(), 0.8, rtol=1e-5)


@pytest.fixture(scope="module")
def atlas() -> AnnData:
    atlas = simulate_atlas(120, 50, 2, 3, depth=300, seed=2)
    pp.prepare(atlas, "batch")
    SCPROTO.setup_anndata(atlas)
    return atlas


def test_a_model_trained_on_rows_on_demand_equals_one_trained_in_memory(atlas):
    of_memory, on_demand = (SCPROTO(atlas, n_prototypes=8, n_hidden=16) for _ in range(2))
    of_memory.train(40, **CPU)
    cells = of_memory.cells()
    rows = dict(enumerate(cells.take(np.arange(cells.n_cells)).toarray()))
    on_demand.train(40, source=RowsOnDemand(rows.__getitem__, cells.batch, cells.n_genes), **CPU)
    results = []
    for model in (of_memory, on_demand):
        tl.assign_metacells(atlas, model)
        results.append((atlas.obsm["X_scproto"].copy(), atlas.obs["metacell"].astype(str), model.get_metacells().X))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("cells", "genes", "batch", "problem"),
    [
        (slice(100), slice(None), 0, "The source has 100 cells and 50 genes, but the model has 120 and 50"),
        (slice(None), slice(49), 0, "The source has 120 cells and 49 genes, but the model has 120 and 50"),
        (slice(None), slice(None), 5, "The source must give each cell a batch from 0 to 1"),
    ],
)
def test_a_source_of_other_cells_is_refused(atlas, cells, genes, batch, problem):
    model = SCPROTO(atlas, n_prototypes=8)
    counts = model.cells().counts
    source = MemoryCells(counts[cells][:, genes], np.full(len(range(120)[cells]), batch))
    with pytest.raises(InputError, match=problem):
        model.train(2, source=source, **CPU)
    assert not model.is_trained_
