from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from scproto.nn import Decoder


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(30, 3, n_latent=5, n_hidden=16, n_batch_latent=4)


def points(n: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("n", [1, 6])
def test_shares_sum_to_one(decoder, n):
    log_share = decoder(points(n), torch.zeros(n, dtype=torch.long))
    assert log_share.shape == (n, 30)
    torch.testing.assert_close(log_share.exp().sum(1), torch.ones(n))


def test_batch_and_point_both_matter(decoder):
    unit = points(1).expand(3, 5)
    by_batch = decoder(unit, torch.arange(3))
    assert (by_batch[0] - by_batch[1]).abs().max() > 1e-2
    by_point = decoder(points(2), torch.tensor([1, 1]))
    assert (by_point[0] - by_point[1]).abs().max() > 1e-2


def test_only_the_batch_that_is_decoded_learns(decoder):
    decoder(points(4), torch.ones(4, dtype=torch.long)).square().sum().backward()
    moved = decoder.batch_embedding.weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [False, True, False]
