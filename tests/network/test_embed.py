from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from scproto.data.memory import MemoryCells
from scproto.data.minibatch import normalise
from scproto.network import PrototypeModule, embed

LAYOUTS = pytest.mark.parametrize("dense_above", [1.0, 0.0], ids=["sparse", "dense"])


@pytest.fixture
def cells() -> MemoryCells:
    rng = np.random.default_rng(0)
    return MemoryCells(sp.csr_matrix(rng.poisson(1.0, (30, 8)).astype(np.float32)), rng.integers(0, 2, 30))


@pytest.fixture
def module() -> PrototypeModule:
    torch.manual_seed(0)
    return PrototypeModule(8, 2, 3, n_latent=4, n_hidden=5)


@LAYOUTS
@pytest.mark.parametrize("chunk", [1, 11, 30, 100])
def test_the_embedding_equals_the_encoder_without_dropout_for_each_cell(cells, module, monkeypatch, dense_above, chunk):
    monkeypatch.setattr("scproto.data.minibatch.DENSE_ABOVE", dense_above)
    unit = embed(module.train(), cells, chunk)
    x = torch.from_numpy(normalise(cells.counts).toarray())
    with torch.no_grad():
        expected = torch.cat([module.eval().encoder(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(unit, expected, atol=1e-5, rtol=1e-4)
    assert not unit.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_network_is_kept(cells, module, training):
    module.train(training)
    embed(module, cells)
    assert module.training == training


def test_embedding_does_not_depend_on_chunks_and_keeps_the_mode(cells, module):
    whole = embed(module.train(), cells)
    assert module.training
    assert whole.shape == (30, 4)
    assert not whole.requires_grad
    torch.testing.assert_close(embed(module, cells, chunk=7), whole)
