from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from scproto.data.memory import MemoryCells
from scproto.network import PrototypeModule, fit_read_out, read_out, read_out_prototypes, unit_prototypes

N_GENES, N_BATCHES = 15, 3


@pytest.fixture
def module() -> PrototypeModule:
    torch.manual_seed(0)
    return PrototypeModule(N_GENES, N_BATCHES, 5, n_latent=4, n_hidden=8).eval()


@pytest.fixture
def source() -> MemoryCells:
    rng = np.random.default_rng(0)
    counts = sparse.csr_matrix(rng.poisson(2.0, (40, N_GENES)).astype(np.float32))
    return MemoryCells(counts, rng.integers(0, N_BATCHES, 40))


@pytest.fixture
def unit() -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_prototypes_are_decoded_in_every_batch(module, source, unit):
    fit_read_out(module, source, unit, seed=0)
    depth = np.median(source.library)
    expected = 0
    for batch in range(N_BATCHES):
        with torch.no_grad():
            share = module.decode(torch.from_numpy(unit_prototypes(module)), batch).numpy()
        expected = expected + np.log1p(depth * share) / N_BATCHES
    axes = module.axes
    np.testing.assert_allclose(read_out_prototypes(module), expected @ axes.loadings - axes.origin, atol=1e-4)


def test_the_same_cells_get_the_same_coordinates_again(module, source, unit):
    embedding = fit_read_out(module, source, unit, seed=0)
    assert embedding.shape == (40, 8)
    np.testing.assert_allclose(read_out(module, unit, source.batch), embedding, atol=1e-5)


def test_weights_bring_the_axes_along(module, source, unit):
    embedding = fit_read_out(module, source, unit, seed=0)
    other = PrototypeModule(N_GENES, N_BATCHES, 5, n_latent=4, n_hidden=8).eval()
    other.load_weights(module.state_dict())
    np.testing.assert_allclose(read_out(other, unit, source.batch), embedding, atol=1e-5)


def test_without_axes_the_embedding_is_the_hypersphere(module, unit):
    """Models that earlier versions saved have no axes."""
    old = {name: value for name, value in module.state_dict().items() if not name.startswith("axes_")}
    module.load_weights(old)
    np.testing.assert_array_equal(read_out(module, unit, np.zeros(40, np.int64)), unit)
    np.testing.assert_array_equal(read_out_prototypes(module), unit_prototypes(module))
