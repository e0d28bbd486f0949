from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from scproto.data.minibatch import encoder_input, normalise, training_input
from scproto.nn import Encoder


@pytest.fixture(params=["sparse", "dense"])
def layout(request, monkeypatch) -> str:
    """Layout of the encoder's input."""
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", {"sparse": 1.0, "dense": 0.0}[request.param])
    return request.param


EITHER_LAYOUT = pytest.mark.usefixtures("layout")


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(20, n_hidden=16, n_latent=5).eval()


@pytest.fixture
def counts() -> sp.csr_matrix:
    """Eight cells; the third has no counts."""
    counts = np.random.default_rng(0).poisson(0.8, (8, 20)).astype(np.float32)
    counts[2] = 0
    return sp.csr_matrix(counts)


def inputs(counts: sp.csr_matrix) -> tuple[Tensor, Tensor | None]:
    return training_input(normalise(counts))


def test_layout_is_the_one_asked_for(counts, layout):
    x, x_transposed = inputs(counts)
    assert (x.layout == torch.strided) == (x_transposed is None) == (layout == "dense")


@EITHER_LAYOUT
def test_cells_have_unit_norm_even_without_counts(encoder, counts, precision):
    unit = encoder(*inputs(counts))
    assert unit.shape == (8, 5)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(8))


@EITHER_LAYOUT
def test_gradient_is_finite_with_an_empty_cell(encoder, counts, precision):
    (encoder(*inputs(counts)) * torch.arange(5.0)).sum().backward()
    gradients = [p.grad for p in encoder.parameters()]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert all(g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rows", [slice(0, 8), slice(0, 1), slice(2, 3)], ids=["all", "one_cell", "one_empty_cell"])
def test_sparse_and_dense_input_give_the_same(encoder, counts, float32, monkeypatch, training, rows):
    encoder.train(training)
    results = []
    for dense_above in (0.0, 1.0):
        monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
        torch.manual_seed(3)  # the same dropout for both
        unit = encoder(*inputs(counts[rows]))
        gradients = torch.autograd.grad((unit * torch.arange(5.0)).sum(), list(encoder.parameters()))
        results.append((unit, *gradients))
    for dense, sparse in zip(*results, strict=True):
        torch.testing.assert_close(dense, sparse, rtol=1e-4, atol=1e-5)


@EITHER_LAYOUT
def test_the_transpose_is_needed_only_in_training(encoder, counts, float32):
    torch.testing.assert_close(encoder(encoder_input(normalise(counts))), encoder(*inputs(counts)))


@EITHER_LAYOUT
def test_rounded_products_hardly_turn_a_cell(encoder, counts, bfloat16):
    x = inputs(counts)
    rounded = encoder(*x)
    with torch.no_grad():
        exact = encoder(*x)
    assert not torch.equal(rounded, exact)
    assert ((rounded * exact).sum(1) > 0.999).all()


@EITHER_LAYOUT
@torch.no_grad()
def test_depth_alone_hardly_matters(encoder, counts):
    """The input is normalised, so a cell with twice the counts is the same cell."""
    torch.testing.assert_close(encoder(*inputs(2 * counts)), encoder(*inputs(counts)))


@EITHER_LAYOUT
@torch.no_grad()
def test_a_cell_does_not_depend_on_its_neighbours_in_the_minibatch(encoder, counts):
    whole = encoder(*inputs(counts))
    torch.testing.assert_close(encoder(*inputs(counts[5:])), whole[5:])


@EITHER_LAYOUT
def test_dropout_only_in_training(encoder, counts):
    x = inputs(counts)
    assert torch.equal(encoder(*x), encoder(*x))
    encoder.train()
    assert not torch.equal(encoder(*x), encoder(*x))


@EITHER_LAYOUT
def test_head_continues_from_the_first_layer(encoder, counts):
    x, x_transposed = inputs(counts)
    with torch.no_grad():
        torch.testing.assert_close(encoder.head(encoder.first(x, x_transposed)), encoder(x, x_transposed))
