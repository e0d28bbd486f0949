from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scproto._compat import csr_tensor
from scproto.nn import SparseLinear


def tensor(x: sp.csr_matrix) -> torch.Tensor:
    return csr_tensor(*map(torch.from_numpy, (x.indptr, x.indices, x.data)), x.shape)


def both(x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return tensor(sp.csr_matrix(x)), tensor(sp.csr_matrix(x.T))


@pytest.fixture(params=["some_empty", "all_empty", "one_row", "full"])
def x(request) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 10)).astype(np.float32)
    if request.param == "some_empty":
        x[rng.random(x.shape) < 0.7] = 0
        x[3], x[:, 2] = 0, 0
    return {"all_empty": 0 * x, "one_row": x[:1]}.get(request.param, x)


def test_forward_and_gradient_equal_the_dense_product(x, float32):
    layer = SparseLinear(10, 4)
    result = layer(*both(x))
    dense = layer.weight.detach().clone().requires_grad_()
    expected = torch.from_numpy(x) @ dense
    torch.testing.assert_close(result, expected)
    pull = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    (result * pull).sum().backward()
    (expected * pull).sum().backward()
    torch.testing.assert_close(layer.weight.grad, dense.grad)


def test_gradient_of_a_plain_sum(x, float32):
    """The incoming gradient is a single number, expanded without memory."""
    layer = SparseLinear(10, 4)
    layer(*both(x)).sum().backward()
    torch.testing.assert_close(layer.weight.grad, torch.from_numpy(x).sum(0)[:, None].expand(10, 4))


def test_dense_input_without_a_transpose_gives_the_same(x, float32):
    layer = SparseLinear(10, 4)
    pull = torch.randn(len(x), 4, generator=torch.Generator().manual_seed(0))
    results = []
    for arguments in (both(x), (torch.from_numpy(x), None)):
        result = layer(*arguments)
        results.append((result, *torch.autograd.grad((result * pull).sum(), [layer.weight])))
    for sparse, dense in zip(*results, strict=True):
        torch.testing.assert_close(dense, sparse)


ROUNDING = {"sparse": (torch.float16, 2**-11), "dense": (torch.bfloat16, 2**-8)}
"""Type of the factors in training, and its largest relative rounding error."""


@pytest.mark.parametrize("layout", ["sparse", "dense"])
def test_products_are_rounded_only_in_training(x, bfloat16, halves, layout):
    layer, dense = SparseLinear(10, 4), torch.from_numpy(x)
    arguments = (dense, None) if layout == "dense" else both(x)
    dtype, rounding = ROUNDING[layout]
    exact = dense @ layer.weight.detach()
    trained = layer(*arguments)
    assert torch.equal(trained, trained.to(dtype).float())
    allowed = 3 * rounding * (dense.abs() @ layer.weight.detach().abs())
    assert ((trained - exact).abs() <= 1.01 * allowed).all()
    with torch.no_grad():
        torch.testing.assert_close(layer(*arguments), exact)


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1.0, 1e9, 1e30], ids="gradients of {}".format)
def test_gradient_of_a_sparse_product_is_rounded_once(x, halves, size):
    """Factors and result are rounded, sums over all rows are in float32; float16 ranges from 6e-8 to 65,504."""
    layer = SparseLinear(10, 4)
    pull = size * torch.randn(len(x), 4, generator=torch.Generator().manual_seed(0))
    layer(*both(x)).backward(pull)
    dense = torch.from_numpy(x)
    allowed = ((1 + 2**-11) ** 3 - 1) * (dense.T.abs() @ pull.abs()) + 2**-23 * pull.abs().max()
    assert layer.weight.grad.dtype == torch.float32
    assert ((layer.weight.grad - dense.T @ pull).abs() <= 1.01 * allowed).all()


def test_rows_are_not_rounded_if_float16_is_not_read_faster(x, monkeypatch):
    monkeypatch.setattr("scproto.nn.matmul.reads_halves", lambda: False)
    layer = SparseLinear(10, 4)
    torch.testing.assert_close(layer(*both(x)), torch.from_numpy(x) @ layer.weight)


def test_gradient_of_zeros_is_zero(x):
    layer = SparseLinear(10, 4)
    layer(*both(x)).backward(torch.zeros(len(x), 4))
    assert torch.equal(layer.weight.grad, torch.zeros(10, 4))
