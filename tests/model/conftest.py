"""One small atlas and one small trained model for all tests of the model; nothing may change them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from anndata import AnnData

from scproto import pp
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO

N_PROTOTYPES = 10


def fit(atlas: AnnData, max_steps: int = 30, **arguments: Any) -> SCPROTO:
    """Register prepared cells and train a small network for a moment."""
    SCPROTO.setup_anndata(atlas)
    model = SCPROTO(atlas, **{"n_prototypes": N_PROTOTYPES, "n_hidden": 16, "n_latent": 6} | arguments)
    model.train(max_steps, accelerator="cpu", enable_progress_bar=False, batch_size=32)
    return model


@pytest.fixture(scope="session")
def raw_atlas() -> AnnData:
    """150 cells, 80 genes, 3 batches of unequal size, 3 types; not prepared."""
    return simulate_atlas(150, 80, 3, 3, rare_fraction=0.1, batch_sizes=[3, 2, 1], depth=300, seed=4)


@pytest.fixture(scope="session")
def atlas(raw_atlas: AnnData) -> AnnData:
    """The same cells after prepare, with 60 genes chosen for the model."""
    atlas = raw_atlas.copy()
    pp.prepare(atlas, "batch", n_top_genes=60)
    return atlas


@pytest.fixture(scope="session")
def model(atlas: AnnData) -> SCPROTO:
    return fit(atlas)


@pytest.fixture(scope="session")
def latent(model: SCPROTO) -> np.ndarray:
    return model.get_latent_representation()


@pytest.fixture(scope="session")
def sphere(model: SCPROTO) -> np.ndarray:
    return model.get_latent_representation(sphere=True)


@pytest.fixture(scope="session")
def metacells(model: SCPROTO) -> AnnData:
    return model.get_metacells(label_keys=["cell_type"], decode_batches=["batch_2"])


@pytest.fixture(scope="session")
def fit_small():
    """The function that trains a small model."""
    return fit
