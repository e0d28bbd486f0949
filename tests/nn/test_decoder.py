from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from scproto.nn import Decoder


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(30, 3, n_latent=5, n_hidden=16, n_batch_latent=4)


def points(n: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, 5, generator=torch.Generator().manual_seed(1)), dim=1)


@pytest.mark.parametrize("n", [1, 6])
@torch.no_grad()
def test_equals_a_loop(decoder, n):
    unit, batch = points(n), torch.arange(n) % 3
    found = decoder(unit, batch)
    assert found.shape == (n, 30)
    for cell in range(n):
        hidden = decoder.hidden(torch.cat([5**0.5 * unit[cell], decoder.batch_embedding.weight[batch[cell]]])[None])[0]
        for gene in range(30):
            expected = hidden @ decoder.log_share.weight[gene] + decoder.log_share.bias[gene]
            assert found[cell, gene].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-5)


def test_genes_do_not_compete(decoder, precision):
    """More of one gene takes nothing from the others, because the link is exponential."""
    before = decoder(points(4), torch.zeros(4, dtype=torch.long)).exp()
    with torch.no_grad():
        decoder.log_share.bias[7] += np.log(3)
    after = decoder(points(4), torch.zeros(4, dtype=torch.long)).exp()
    others = torch.arange(30) != 7
    assert torch.equal(after[:, others], before[:, others])
    torch.testing.assert_close(after[:, 7], 3 * before[:, 7])


GENES = st.one_of(
    st.just(list(range(30))), st.just([]), st.just([29]), st.lists(st.integers(0, 29), max_size=30, unique=True)
)


@settings(deadline=None, max_examples=60)
@given(genes=GENES, n=st.integers(1, 5), bfloat16=st.booleans())
def test_decoding_some_genes_gives_their_columns(genes, n, bfloat16):
    torch.manual_seed(0)
    decoder, batch, genes = Decoder(30, 3, 5, 16, 4), torch.arange(n) % 3, torch.tensor(genes, dtype=torch.long)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scproto.nn.matmul.multiplies_bfloat16", lambda _: bfloat16)
        found, everything = decoder(points(n), batch, genes), decoder(points(n), batch)
    assert found.shape == (n, len(genes))
    tolerance = {"rtol": 2**-7, "atol": 2**-7} if bfloat16 else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(found, everything[:, genes], **tolerance)


def test_only_the_genes_that_are_decoded_learn(decoder, precision):
    genes = torch.tensor([17, 3, 4])
    decoder(points(4), torch.zeros(4, dtype=torch.long), genes).square().sum().backward()
    moved = decoder.log_share.weight.grad.abs().sum(1) > 0
    assert moved.nonzero().flatten().tolist() == [3, 4, 17]
    assert torch.equal(decoder.log_share.bias.grad != 0, moved)


def test_gradients_of_some_genes_are_those_of_their_columns(decoder, float32):
    genes, batch = torch.tensor([17, 3, 4, 29]), torch.tensor([0, 2, 2, 1])
    pull = torch.randn(4, 4, generator=torch.Generator().manual_seed(2))
    gradients = []
    for found in (decoder(points(4), batch, genes), decoder(points(4), batch)[:, genes]):
        parameters = [p for p in decoder.parameters() if p is not decoder.log_theta]
        gradients.append(torch.autograd.grad((found * pull).sum(), parameters))
    for some, columns in zip(*gradients, strict=True):
        torch.testing.assert_close(some, columns, rtol=1e-4, atol=1e-6)


def test_starts_at_the_given_shares(decoder):
    share = torch.linspace(0.0, 1.0, 30) / 15
    weight = decoder.log_share.weight.detach().clone()
    decoder.start_at(share)
    assert torch.equal(decoder.log_share.weight, weight)
    assert decoder.log_share.bias.requires_grad
    with torch.no_grad():
        decoder.log_share.weight.zero_()
    found = decoder(points(3), torch.arange(3))
    torch.testing.assert_close(found[:, 1:].exp(), share[1:].expand(3, 29))
    torch.testing.assert_close(found[:, 0], torch.full((3,), np.log(1e-8)))  # a gene without counts stays finite


def test_start_moves_all_cells_equally(decoder):
    share = torch.arange(1.0, 31.0) / 465
    with torch.no_grad():
        before, bias = decoder(points(5), torch.arange(5) % 3), decoder.log_share.bias.clone()
        decoder.start_at(share)
        after = decoder(points(5), torch.arange(5) % 3)
    torch.testing.assert_close(after - before, (share.log() - bias).expand(5, 30), rtol=1e-4, atol=1e-5)


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
