"""One small atlas and a short fit that separates its types. No test may change them."""

from __future__ import annotations

import pytest
from anndata import AnnData

from scproto import pp
from scproto.datasets import simulate_atlas
from scproto.model import SCPROTO


@pytest.fixture(scope="session")
def atlas() -> AnnData:
    """400 cells of 4 types in 2 batches of unequal size; the model knows 150 of the 200 genes."""
    atlas = simulate_atlas(400, 200, 2, 4, rare_fraction=0.1, batch_sizes=[2, 1], trajectory=False, seed=2)
    pp.prepare(atlas, "batch", n_top_genes=150)
    return atlas


@pytest.fixture(scope="session")
def model(atlas: AnnData) -> SCPROTO:
    SCPROTO.setup_anndata(atlas)
    model = SCPROTO(atlas, n_prototypes=6, n_hidden=64, n_latent=8)
    model.train(400, accelerator="cpu", enable_progress_bar=False, batch_size=64)
    return model


@pytest.fixture(scope="session")
def metacells(model: SCPROTO) -> AnnData:
    return model.get_metacells(label_keys="cell_type")
