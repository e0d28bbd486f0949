from __future__ import annotations

import pytest
import torch

from scproto.nn.dropout import Dropout


def dropped(p: float, x: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return Dropout(p).train()(x)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (0, 4), (7,)])
def test_entries_are_zero_or_scaled_up(shape):
    x = 1 + torch.rand(shape)
    found = dropped(0.25, x)
    assert found.shape == x.shape
    torch.testing.assert_close(found, torch.where(found == 0, 0.0, x / 0.75))


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_rate_and_mean(p):
    found = dropped(p, torch.ones(400, 500))
    assert (found == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert found.mean().item() == pytest.approx(1.0, abs=0.01)
    by_position = (found.view(-1, 8) == 0).float().mean(0)  # the eight entries that share a random number
    torch.testing.assert_close(by_position, torch.full((8,), p), atol=0.01, rtol=0)
    assert torch.corrcoef((found.view(-1, 8) == 0).float().T).triu(1).abs().max() < 0.05


def test_gradient_passes_only_through_kept_entries():
    x = torch.ones(20, 30, requires_grad=True)
    found = dropped(0.25, x)
    found.sum().backward()
    torch.testing.assert_close(x.grad, found.detach())


def test_follows_the_seed():
    x = torch.ones(20, 30)
    assert torch.equal(dropped(0.2, x), dropped(0.2, x))
    assert not torch.equal(dropped(0.2, x), dropped(0.2, x, seed=1))


def test_does_nothing_outside_training_or_at_rate_zero():
    x = torch.rand(4, 5)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(dropped(0.0, x), x)
