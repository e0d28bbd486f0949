from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from scproto.nn.matmul import Linear, matmul

ROUNDING = torch.finfo(torch.bfloat16).eps / 2
"""Largest relative error of one rounding to bfloat16, 2**-8."""

SHAPES = [(1, 1, 1), (1, 9, 4), (7, 1, 5), (6, 8, 1), (33, 100, 17), (128, 300, 64)]
"""Number of rows and columns of the first factor, and number of columns of the second."""


def factors(shape: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Two factors and the incoming gradient of their product; the rows differ in size."""
    n, k, m = shape
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(n, k, generator=random) * torch.logspace(-2, 2, n).unsqueeze(1)
    return a, torch.randn(k, m, generator=random), torch.randn(n, m, generator=random)


def with_gradients(product, a: Tensor, b: Tensor, pull: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The product and the gradients of both factors."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    result = product(a, b)
    (result * pull).sum().backward()
    return result.detach(), a.grad, b.grad


def naive_rounded_product(a: Tensor, b: Tensor) -> Tensor:
    """Sum the products of rounded factors in double precision; the result is not rounded."""
    a, b = a.bfloat16().double(), b.bfloat16().double()
    result = torch.zeros(len(a), b.shape[1], dtype=torch.float64)
    for i in range(len(a)):
        for j in range(b.shape[1]):
            result[i, j] = sum(x * y for x, y in zip(a[i].tolist(), b[:, j].tolist(), strict=True))
    return result


def assert_rounded(found: Tensor, a: Tensor, b: Tensor) -> None:
    """Check that each entry of ``a @ b`` is as exact as two rounded factors and a rounded result allow."""
    assert found.dtype == torch.float32
    a, b = a.double(), b.double()
    allowed = ((1 + ROUNDING) ** 3 - 1) * (a.abs() @ b.abs())
    assert ((found - a @ b).abs() <= 1.01 * allowed).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_without_gradients_nothing_is_rounded(precision, shape):
    a, b, _ = factors(shape)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert torch.equal(matmul(a, b), a @ b)


def test_weights_without_a_gradient_round_nothing(precision):
    a, b, _ = factors(SHAPES[-1])
    assert torch.equal(matmul(a.requires_grad_(), b), a @ b)


@pytest.mark.parametrize("shape", SHAPES)
def test_hardware_without_bfloat16_rounds_nothing(float32, shape):
    tensors = factors(shape)
    found, expected = with_gradients(matmul, *tensors), with_gradients(torch.matmul, *tensors)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients_are_within_the_rounding(bfloat16, shape):
    a, b, pull = factors(shape)
    value, gradient_a, gradient_b = with_gradients(matmul, a, b, pull)
    assert_rounded(value, a, b)
    assert_rounded(gradient_a, pull, b.T)
    assert_rounded(gradient_b, a.T, pull)


@pytest.mark.parametrize("shape", SHAPES[-2:])
def test_errors_of_many_entries_cancel(bfloat16, shape):
    tensors = factors(shape)
    for found, exact in zip(with_gradients(matmul, *tensors), with_gradients(torch.matmul, *tensors), strict=True):
        assert 0 < (found - exact).norm() < 2 * ROUNDING * exact.norm()


@settings(deadline=None, max_examples=60)
@given(st.tuples(st.integers(1, 6), st.integers(1, 40), st.integers(1, 6)), st.integers(0, 99))
def test_intermediate_sums_are_not_rounded(shape, seed):
    a, b, _ = factors(shape, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scproto.nn.matmul.multiplies_bfloat16", lambda _: True)
        found = matmul(a, b.clone().requires_grad_()).detach()
    expected = naive_rounded_product(a, b)
    allowed = ROUNDING * expected.abs() + 1e-5 * (a.double().abs() @ b.double().abs())
    assert ((found - expected).abs() <= 1.01 * allowed).all()
    assert torch.equal(found.bfloat16().float(), found)


def test_only_training_asks_what_the_device_multiplies_fast(monkeypatch):
    asked = []
    monkeypatch.setattr("scproto.nn.matmul.multiplies_bfloat16", lambda device: asked.append(device) or False)
    a, b, _ = factors((3, 4, 5))
    b.requires_grad_()
    matmul(a, b)
    assert asked == [a.device]
    with torch.no_grad():
        matmul(a, b)
    assert asked == [a.device]


@pytest.fixture
def linear() -> Linear:
    torch.manual_seed(0)
    return Linear(9, 4)


@pytest.mark.parametrize("n", [1, 5])
def test_linear_has_the_weights_and_output_of_torch(precision, linear, n):
    plain = nn.Linear(9, 4)
    plain.load_state_dict(linear.state_dict())
    x = torch.randn(n, 9, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(linear(x), plain(x))
    torch.testing.assert_close(linear(x), plain(x), atol=0.02 if precision == "bfloat16" else 1e-6, rtol=0)


def test_linear_adds_the_bias_in_float32(bfloat16, linear):
    exact = 1 + 2.0 ** -torch.arange(12, 16)  # all are 1 in bfloat16
    with torch.no_grad():
        linear.bias.copy_(exact)
    result = linear(torch.zeros(3, 9))
    assert result.dtype == torch.float32
    assert torch.equal(result, exact.expand(3, 4))
    (result * exact).sum().backward()
    torch.testing.assert_close(linear.bias.grad, 3 * exact, rtol=1e-6, atol=0)


def test_parameters_and_their_gradients_stay_in_float32(precision, linear):
    linear(torch.ones(3, 9)).sum().backward()
    for parameter in linear.parameters():
        assert parameter.dtype == parameter.grad.dtype == torch.float32
