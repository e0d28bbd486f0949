from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scproto.data.minibatch import encoder_input
from scproto.nn import Encoder


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(20, n_hidden=16, n_latent=5).eval()


@pytest.fixture
def counts() -> sp.csr_matrix:
    """Eight cells; the third has no count."""
    counts = np.random.default_rng(0).poisson(0.8, (8, 20)).astype(np.float32)
    counts[2] = 0
    return sp.csr_matrix(counts)


def test_cells_have_unit_norm_also_without_a_count(encoder, counts):
    unit = encoder(*encoder_input(counts))
    assert unit.shape == (8, 5)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(8))


def test_gradient_is_finite_with_an_empty_cell(encoder, counts):
    (encoder(*encoder_input(counts)) * torch.arange(5.0)).sum().backward()
    gradients = [p.grad for p in encoder.parameters()]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert all(g.abs().sum() > 0 for g in gradients)


def test_depth_alone_hardly_matters(encoder, counts):
    """The input is normalised, so that twice the counts are the same cell."""
    torch.testing.assert_close(encoder(*encoder_input(2 * counts)), encoder(*encoder_input(counts)))


def test_a_cell_does_not_depend_on_its_neighbours_in_the_minibatch(encoder, counts):
    whole = encoder(*encoder_input(counts))
    torch.testing.assert_close(encoder(*encoder_input(counts[5:])), whole[5:])


def test_dropout_only_in_training(encoder, counts):
    x = encoder_input(counts)
    assert torch.equal(encoder(*x), encoder(*x))
    encoder.train()
    assert not torch.equal(encoder(*x), encoder(*x))
