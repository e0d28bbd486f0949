from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F

from scproto.data.memory import MemoryCells
from scproto.data.minibatch import Minibatch, gather
from scproto.data.sampler import Request, ViewSampler
from scproto.data.source import gene_share
from scproto.graph import KnnGraph
from scproto.network.module import PrototypeModule

N_GENES = 40
VIEWS = np.array([[3, 0, 7, 7, 11], [1, 2, 4, 0, 5]])


@pytest.fixture(autouse=True)
def no_rounded_products(monkeypatch) -> None:
    """Multiply in float32 on any hardware."""
    monkeypatch.setattr("scproto.nn.matmul.trains", lambda _: False)


def example_cells() -> MemoryCells:
    """Twelve cells of three batches; cell 7 has no count."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 2.0, (12, N_GENES))).astype(np.float32)
    counts[7] = 0
    return MemoryCells(sp.csr_matrix(counts), np.arange(12) % 3)


def example_module(cells: MemoryCells) -> PrototypeModule:
    """Without dropout; genes differ in share and dispersion."""
    torch.manual_seed(0)
    module = PrototypeModule(N_GENES, 3, 4, n_latent=5, n_hidden=8).eval()
    module.decoder.start_at(torch.from_numpy(gene_share(cells)))
    with torch.no_grad():
        module.decoder.log_theta.normal_()
    return module


@pytest.fixture
def cells() -> MemoryCells:
    return example_cells()


@pytest.fixture
def module(cells) -> PrototypeModule:
    return example_module(cells)


def reconstruction(module: PrototypeModule, minibatch: Minibatch) -> torch.Tensor:
    return module.loss(minibatch, prototypes=False).terms["reconstruction"]


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("anchors", [slice(0, 5), slice(0, 1), slice(2, 3)], ids=["all", "one_cell", "one_empty_cell"])
@pytest.mark.parametrize("genes", [range(N_GENES), [5], [31, 2, 17, 8]], ids=["all", "one", "some"])
@torch.no_grad()
def test_reconstruction_equals_a_loop(cells, module, genes, anchors, n_views):
    """Over the anchors and the decoded genes, scaled to all genes."""
    views, genes = VIEWS[:n_views, anchors], list(genes)
    minibatch = gather(cells, Request(views, np.array(genes)))
    unit = module.encoder(minibatch.x, minibatch.x_transposed)
    log_share = module.decoder(unit[: views.shape[1]], minibatch.batch[0]).double().numpy()
    theta, expected = module.decoder.log_theta.double().exp().numpy(), 0.0
    for i, cell in enumerate(views[0]):
        for gene in genes:
            mean = cells.library[cell] * np.exp(log_share[i, gene])
            probability = theta[gene] / (theta[gene] + mean)
            expected -= stats.nbinom.logpmf(cells.counts[cell, gene], theta[gene], probability)
    expected *= N_GENES / len(genes) / views.shape[1]
    assert reconstruction(module, minibatch).item() == pytest.approx(expected, rel=1e-4)


def with_gradients(module: PrototypeModule, minibatch: Minibatch) -> list[torch.Tensor]:
    """The reconstruction, and its gradient with respect to all that it depends on."""
    loss = reconstruction(module, minibatch)
    parameters = [p for name, p in module.named_parameters() if name != "prototypes"]
    return [loss.detach(), *torch.autograd.grad(loss, parameters)]


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(N_GENES)), cuts=st.sets(st.integers(1, N_GENES - 1), max_size=8))
def test_blocks_of_genes_average_to_the_reconstruction_of_all(order, cuts):
    """Value and gradient; blocks are weighted by their size."""
    cells = example_cells()
    module = example_module(cells)
    everything = with_gradients(module, gather(cells, Request(VIEWS, np.arange(N_GENES))))
    average = [torch.zeros_like(part) for part in everything]
    for block in np.split(np.array(order), sorted(cuts)):
        for total, part in zip(average, with_gradients(module, gather(cells, Request(VIEWS, block))), strict=True):
            total += part * len(block) / N_GENES
    for found, expected in zip(average, everything, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_decoded", [1, 3, 10, 500])
@torch.no_grad()
def test_a_round_of_the_sampler_averages_to_the_reconstruction_of_all(cells, module, monkeypatch, n_decoded):
    monkeypatch.setattr("scproto.data.sampler.DECODED_GENES", n_decoded)
    n_blocks = max(1, round(N_GENES / n_decoded))
    sampler = ViewSampler(KnnGraph.from_table(np.array([[1], [0]])), np.argsort(gene_share(cells)), 1, n_blocks)
    everything = reconstruction(module, gather(cells, Request(VIEWS, np.arange(N_GENES))))
    genes = [request.genes for request in sampler]
    losses = [reconstruction(module, gather(cells, Request(VIEWS, block))) for block in genes]
    average = sum(loss * len(block) / N_GENES for loss, block in zip(losses, genes, strict=True))
    torch.testing.assert_close(average, everything, rtol=1e-4, atol=0)


@torch.no_grad()
def test_order_of_the_decoded_genes_does_not_matter(cells, module):
    genes = np.array([31, 2, 17, 8])
    found = [reconstruction(module, gather(cells, Request(VIEWS, order))) for order in (genes, np.sort(genes))]
    torch.testing.assert_close(*found)


def test_only_the_decoded_genes_have_a_gradient(cells, module):
    reconstruction(module, gather(cells, Request(VIEWS, np.array([31, 2, 17, 8])))).backward()
    for parameter in (module.decoder.log_theta, module.decoder.log_share.bias):
        assert parameter.grad.nonzero().flatten().tolist() == [2, 8, 17, 31]


@torch.no_grad()
def test_the_other_terms_do_not_depend_on_the_decoded_genes(cells, module):
    some, everything = (
        module.loss(gather(cells, Request(VIEWS, genes)), prototypes=True)
        for genes in (np.array([31, 2]), np.arange(N_GENES))
    )
    for name in ("swav", "propagation"):
        torch.testing.assert_close(some.terms[name], everything.terms[name])
    assert torch.equal(some.scores, everything.scores)


@pytest.mark.parametrize("dense_above", [0.0, 1.0], ids=["dense", "sparse"])
@torch.no_grad()
def test_layout_of_the_input_does_not_matter(cells, module, monkeypatch, dense_above):
    request = Request(VIEWS, np.arange(N_GENES))
    expected = module.loss(gather(cells, request), prototypes=True).total
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
    torch.testing.assert_close(module.loss(gather(cells, request), prototypes=True).total, expected, rtol=1e-4, atol=0)


def points(n: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("batch", [None, 0, 2])
@pytest.mark.parametrize("scale", [1.0, 0.01, 100.0])
@torch.no_grad()
def test_decoded_shares_sum_to_one(module, n, batch, scale):
    """Even if those of the decoder do not."""
    module.decoder.log_share.bias += np.log(scale)
    found = module.decode(points(n), batch)
    assert found.shape == (n, N_GENES)
    assert (found > 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(n))


@torch.no_grad()
def test_decoded_shares_are_proportional_to_those_of_the_decoder(module):
    unit = points(6)
    by_batch = []
    for b in range(3):
        share = module.decoder(unit, torch.full((6,), b)).double().exp()
        by_batch.append((share / share.sum(1, keepdim=True)).float())
        torch.testing.assert_close(module.decode(unit, b), by_batch[-1])
    torch.testing.assert_close(module.decode(unit), torch.stack(by_batch).mean(0))


@torch.no_grad()
def test_genes_of_very_different_shares_are_decoded_without_overflow(module):
    module.decoder.log_share.bias[0] += 200.0
    found = module.decode(points(3))
    torch.testing.assert_close(found[:, 0], torch.ones(3))
    assert torch.isfinite(found).all()


def test_the_assignment_of_a_minibatch_follows_the_shares():
    torch.manual_seed(0)
    module = PrototypeModule(6, 2, 3, n_latent=3, n_hidden=4).eval()  # no dropout
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (20, 6)).astype(np.float32))
    cells = gather(MemoryCells(counts, np.arange(20) % 2), Request(np.arange(20).reshape(2, 10), np.arange(6)))

    def swav() -> float:
        return module.loss(cells, prototypes=True).terms["swav"].item()

    by_itself = swav()
    module.set_shares(torch.full((2, 3), 1 / 3))
    assert swav() == pytest.approx(by_itself, abs=1e-5)
    module.set_shares(torch.tensor([[0.98, 0.01, 0.01], [0.01, 0.01, 0.98]]))
    assert abs(swav() - by_itself) > 0.01
