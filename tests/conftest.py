from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy, torch or faiss start their threads
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from anndata import AnnData
from hypothesis import settings

from scproto.datasets import pbmc_three_labs, simulate_atlas

settings.register_profile("scproto", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("scproto")


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def _tiny_atlas() -> AnnData:
    return simulate_atlas(300, 120, 3, 4, rare_fraction=0.05, depth=400, seed=1)


@pytest.fixture
def tiny_atlas(_tiny_atlas: AnnData) -> AnnData:
    """300 cells, 120 genes, 3 batches and 4 types; each test gets a copy."""
    return _tiny_atlas.copy()


@pytest.fixture(scope="session")
def _blood() -> AnnData:
    return pbmc_three_labs()


@pytest.fixture
def blood(_blood: AnnData) -> AnnData:
    """Real cells from three labs; each test gets a copy."""
    return _blood.copy()
