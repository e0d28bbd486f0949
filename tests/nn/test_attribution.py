from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scproto.nn import Encoder, integrated_gradients

N_CELLS, N_GENES, N_HIDDEN = 5, 12, 16


def unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x, dim=1)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(N_GENES, N_HIDDEN, 4).eval().requires_grad_(False)


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor]:
    """Cells and their baselines."""
    random = torch.Generator().manual_seed(1)
    return unit(torch.rand(N_CELLS, N_GENES, generator=random)), unit(torch.rand(N_CELLS, N_GENES, generator=random))


def score(encoder: Encoder):
    """Log-softmax of the first latent dimension, which scores each cell independently of the others."""
    return lambda hidden: torch.log_softmax(encoder.head(hidden) / 0.1, dim=1)[:, 0]


def naive(encoder: Encoder, x: Tensor, baseline: Tensor, n_steps: int) -> Tensor:
    """Loop over cells and steps, with gradients through the whole network to the genes."""
    result = torch.zeros_like(x)
    for i in range(len(x)):
        for step in range(n_steps):
            point = (baseline[i] + (step + 0.5) / n_steps * (x[i] - baseline[i])).requires_grad_()
            value = torch.log_softmax(encoder(point.unsqueeze(0), None) / 0.1, dim=1)[0, 0]
            result[i] += torch.autograd.grad(value, point)[0] * (x[i] - baseline[i]) / n_steps
    return result


@pytest.mark.parametrize("n_steps", [1, 3, 20])
def test_equals_the_naive_integral(encoder, inputs, n_steps):
    found = integrated_gradients(score(encoder), encoder.first.weight, *inputs, n_steps)
    torch.testing.assert_close(found, naive(encoder, *inputs, n_steps), rtol=1e-4, atol=1e-5)


def test_attributions_sum_to_the_difference_of_the_scores(encoder, inputs):
    x, baseline = inputs
    f = score(encoder)
    difference = f(x @ encoder.first.weight) - f(baseline @ encoder.first.weight)
    errors = []
    for n_steps in (5, 100, 2000):
        total = integrated_gradients(f, encoder.first.weight, x, baseline, n_steps).sum(1)
        errors.append(float((total - difference).abs().max()))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 5e-3 * float(difference.abs().mean())


def test_one_step_is_exact_for_a_linear_score(inputs):
    x, baseline = inputs
    weight = torch.randn(N_GENES, N_HIDDEN, generator=torch.Generator().manual_seed(2))
    pull = torch.linspace(-1, 1, N_HIDDEN)
    found = integrated_gradients(lambda hidden: hidden @ pull, weight, x, baseline, 1)
    torch.testing.assert_close(found, (x - baseline) * (weight @ pull))


def test_genes_that_do_not_differ_or_have_no_weight_get_no_attribution(encoder, inputs):
    x, baseline = inputs
    baseline[:, 3] = x[:, 3]
    encoder.first.weight[7] = 0
    found = integrated_gradients(score(encoder), encoder.first.weight, x, baseline, 4)
    assert (found[:, [3, 7]] == 0).all()
    assert (found[:, :3] != 0).any()


def test_zero_is_no_baseline(encoder, inputs):
    """The encoder ignores the length of its input, so the score hardly changes along a line from zero."""
    x = inputs[0]
    f = score(encoder)
    difference = f(x @ encoder.first.weight) - f(0 * x @ encoder.first.weight)
    total = integrated_gradients(f, encoder.first.weight, x, torch.zeros_like(x), 50).sum(1)
    assert (total.abs() < 0.4 * difference.abs()).all()


def test_nothing_is_rounded(encoder, inputs, precision):
    found = integrated_gradients(score(encoder), encoder.first.weight, *inputs, 20)
    torch.testing.assert_close(found, naive(encoder, *inputs, 20), rtol=1e-4, atol=1e-5)
    assert not any(p.requires_grad for p in encoder.parameters())
