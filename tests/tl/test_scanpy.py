from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData


@pytest.mark.slow  # compiles the approximate search
def test_scanpy_finds_neighbours_in_a_large_embedding():
    import scanpy as sc

    unit = np.random.default_rng(0).normal(size=(10_000, 16)).astype(np.float32)
    adata = AnnData(obsm={"X_scproto": unit / np.linalg.norm(unit, axis=1, keepdims=True)}, shape=(len(unit), 0))
    sc.pp.neighbors(adata, use_rep="X_scproto")
    assert adata.obsp["connectivities"].shape == (len(unit), len(unit))
