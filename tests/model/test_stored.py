"""Models of released versions open, and give what they gave then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from scproto import tl
from scproto.model import SCPROTO

VERSIONS = sorted(path.name for path in (Path(__file__).parent / "stored").iterdir() if (path / "model").is_dir())


def test_there_are_stored_models():
    assert VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stored_model_maps_as_it_did(version):
    folder = Path(__file__).parent / "stored" / version
    model, then = SCPROTO.load(folder / "model"), np.load(folder / "query.npz")
    query = AnnData(sparse.csr_matrix(then["counts"].astype(np.float32)))
    query.var_names = then["genes"]
    query.obs["batch"] = "batch_2"
    tl.map_query(query, model)
    tl.transfer_labels(query, model, "cell_type")
    np.testing.assert_allclose(query.obsm["X_scproto_sphere"], then["sphere"], atol=1e-3)
    np.testing.assert_allclose(query.obsm["X_scproto"], then["embedding"], atol=1e-2)
    np.testing.assert_allclose(query.obsm["scproto_cell_type_probabilities"], then["probabilities"], atol=1e-3)
    assert len(model.metacell_names) == 5
