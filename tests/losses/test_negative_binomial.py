from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from scproto.losses import negative_binomial_nll
from scproto.losses.negative_binomial import SMALL


def coordinates(counts: np.ndarray, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    rows, columns = counts.nonzero()
    values = torch.from_numpy(counts[rows, columns]).to(dtype)
    return torch.from_numpy(rows), torch.from_numpy(columns), values


@pytest.fixture
def example():
    """Counts ``(9, 13)`` with an empty row and an empty column, log means and log dispersions, float64."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.5, 4.0, (9, 13)))
    counts[4], counts[:, 7] = 0, 0
    return counts, torch.from_numpy(rng.normal(0, 2, (9, 13))), torch.from_numpy(rng.normal(0, 1.5, 13))


def textbook(log_mean, log_theta, counts):
    """Evaluate the textbook formula at every entry."""
    x, mu, theta = torch.from_numpy(counts).double(), log_mean.exp(), log_theta.exp()
    log_p = (
        torch.lgamma(x + theta)
        - torch.lgamma(theta)
        - torch.lgamma(x + 1)
        + theta * torch.log(theta / (theta + mu))
        + x * torch.log(mu / (theta + mu))
    )
    return -log_p.sum(1)


def test_equals_scipy(example):
    counts, log_mean, log_theta = example
    mu, theta = np.exp(log_mean.numpy()), np.exp(log_theta.numpy())
    expected = -stats.nbinom.logpmf(counts, theta, theta / (theta + mu)).sum(1)
    found = negative_binomial_nll(log_mean, log_theta, *coordinates(counts))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_equals_torch_distributions(example):
    counts, log_mean, log_theta = example
    distribution = torch.distributions.NegativeBinomial(log_theta.exp(), logits=log_mean - log_theta)
    expected = -distribution.log_prob(torch.from_numpy(counts).double()).sum(1)
    torch.testing.assert_close(negative_binomial_nll(log_mean, log_theta, *coordinates(counts)), expected)


def test_float32_is_close_to_the_textbook(example):
    counts, log_mean, log_theta = example
    found = negative_binomial_nll(log_mean.float(), log_theta.float(), *coordinates(counts, torch.float32))
    np.testing.assert_allclose(found.numpy(), textbook(log_mean, log_theta, counts).numpy(), rtol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_gradients_equal_those_of_the_textbook_form(example, dtype, tolerance):
    counts, *parameters = example
    weight = torch.linspace(0.5, 1.5, len(counts), dtype=torch.float64)
    exact = [p.clone().requires_grad_() for p in parameters]
    (weight * textbook(*exact, counts)).sum().backward()
    ours = [p.to(dtype).requires_grad_() for p in parameters]
    (weight.to(dtype) * negative_binomial_nll(*ours, *coordinates(counts, dtype))).sum().backward()
    for found, expected in zip(ours, exact, strict=True):
        np.testing.assert_allclose(found.grad.numpy(), expected.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_dense_counts_give_the_same_with_their_gradients(example):
    counts, *parameters = example
    results = []
    for stored in (coordinates(counts), (None, None, torch.from_numpy(counts).double())):
        ours = [p.clone().requires_grad_() for p in parameters]
        found = negative_binomial_nll(*ours, *stored)
        found.square().sum().backward()
        results.append([found.detach(), *(p.grad for p in ours)])
    for dense, sparse in zip(*results, strict=True):
        torch.testing.assert_close(dense, sparse)


def test_stored_zeros_change_nothing(example):
    counts, log_mean, log_theta = example
    rows, columns = (torch.from_numpy(i.ravel()) for i in np.indices(counts.shape))
    everything = torch.from_numpy(counts.ravel()).double()
    torch.testing.assert_close(
        negative_binomial_nll(log_mean, log_theta, rows, columns, everything),
        negative_binomial_nll(log_mean, log_theta, *coordinates(counts)),
    )


def test_order_of_the_entries_does_not_matter(example):
    counts, log_mean, log_theta = example
    stored = coordinates(counts)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(stored[0])))
    torch.testing.assert_close(
        negative_binomial_nll(log_mean, log_theta, *(part[order] for part in stored)),
        negative_binomial_nll(log_mean, log_theta, *stored),
    )


def test_cells_without_a_count():
    log_mean, log_theta = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    found = negative_binomial_nll(log_mean, log_theta, *coordinates(np.zeros((2, 3))))
    np.testing.assert_allclose(found.numpy(), 3 * np.log(2))  # theta = mu = 1: each zero has probability 1/2


def test_large_theta_approaches_poisson(example):
    counts, log_mean, _ = example
    log_theta = torch.full((counts.shape[1],), np.log(1e8), dtype=torch.float64)
    expected = -stats.poisson.logpmf(counts, log_mean.exp().numpy()).sum(1)
    found = negative_binomial_nll(log_mean, log_theta, *coordinates(counts))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("theta", [1e-4, 1e3])
def test_float32_with_extreme_dispersion(example, theta):
    counts, log_mean, _ = example
    log_theta = torch.full((counts.shape[1],), np.log(theta), dtype=torch.float64)
    found = negative_binomial_nll(log_mean.float(), log_theta.float(), *coordinates(counts, torch.float32))
    np.testing.assert_allclose(found.numpy(), textbook(log_mean, log_theta, counts).numpy(), rtol=1e-3)


@pytest.mark.parametrize("stored", [[SMALL - 1, SMALL, SMALL + 1], [0, 1, 1000], [0.5, 2.5, SMALL + 0.5]])
def test_counts_within_and_beyond_the_table(stored):
    """Also large and fractional counts, which the table does not hold."""
    counts, log_mean = np.array([stored, stored[::-1]], float), torch.linspace(-1, 4, 6, dtype=torch.float64).view(2, 3)
    log_theta = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    results = []
    for loss, arguments in ((textbook, (counts,)), (negative_binomial_nll, coordinates(counts))):
        ours = [p.clone().requires_grad_() for p in (log_mean, log_theta)]
        found = loss(*ours, *arguments)
        results.append((found, *torch.autograd.grad(found.square().sum(), ours)))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_float32_keeps_small_counts_where_the_log_gamma_functions_cancel():
    counts, log_mean = np.array([[1.0, 2.0, 5.0]]), torch.zeros(1, 3)
    log_theta = torch.full((3,), np.log(1e8), dtype=torch.float32)
    expected = -stats.poisson.logpmf(counts, 1.0).sum(1)  # the limit of a large theta
    found = negative_binomial_nll(log_mean, log_theta, *coordinates(counts, torch.float32))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


@pytest.mark.parametrize("log_mean", [-30.0, -80.0])
def test_tiny_mean_stays_finite_with_its_gradients(log_mean):
    counts = np.array([[0.0, 0.0], [0.0, 2.0]])
    log_mean = torch.full((2, 2), log_mean, requires_grad=True)
    log_theta = torch.zeros(2, requires_grad=True)
    found = negative_binomial_nll(log_mean, log_theta, *coordinates(counts, torch.float32))
    # theta = 1 is geometric: if mu is tiny, two counts cost -2 log(mu) and no count costs nothing
    np.testing.assert_allclose(found.detach().numpy(), [0, -2 * log_mean[0, 0].item()], rtol=1e-6, atol=1e-6)
    found.sum().backward()
    assert torch.isfinite(log_mean.grad).all()
    assert torch.isfinite(log_theta.grad).all()
    assert log_mean.grad[1, 1].item() == pytest.approx(-2)


@pytest.mark.parametrize("log_mean", [30.0, 79.0, 81.0, 300.0])
def test_huge_mean_stays_finite_with_its_gradients(log_mean):
    counts = np.array([[0.0, 0.0], [0.0, 2.0]])
    log_mean = torch.full((2, 2), log_mean, requires_grad=True)
    log_theta = torch.zeros(2, requires_grad=True)
    found = negative_binomial_nll(log_mean, log_theta, *coordinates(counts, torch.float32))
    # theta = 1 is geometric: if mu is huge, any count costs log(1 + mu)
    np.testing.assert_allclose(found.detach().numpy(), 2 * log_mean[0].detach().numpy(), rtol=1e-6)
    found.sum().backward()
    assert torch.isfinite(log_theta.grad).all()
    np.testing.assert_allclose(log_mean.grad.numpy(), np.ones((2, 2)), rtol=1e-5)
