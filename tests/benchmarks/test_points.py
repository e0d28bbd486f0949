from __future__ import annotations

import numpy as np
from lab.points import metacells_of_points, simulate_points

from scproto.metrics import contingency


def test_metacells_of_points_are_what_their_names_say():
    adata = simulate_points(4000, 30)
    made = dict(metacells_of_points(adata, 100))
    assert all(80 <= len(np.unique(metacell)) <= 150 for metacell in made.values())
    n_types, n_batches, n_studies = (
        {name: (contingency(metacell, adata.obs[column]) > 0).sum(1) for name, metacell in made.items()}
        for column in ("cell_type", "batch", "study")
    )
    for name in ("good", "good, states shifted by batch"):
        assert n_types[name].max() == 1
        assert np.median(n_batches[name]) > 5
    assert n_batches["one batch each"].max() == 1
    assert n_studies["one study each"].max() == 1
    assert n_types["one study each"].max() == 1
    for name in ("types merged in pairs", "types exchanged"):
        assert np.median(n_types[name]) == n_types[name].max() == 2


def test_points_have_every_batch_and_do_not_change():
    first, second = simulate_points(500, 40), simulate_points(500, 40)
    assert first.obs["batch"].nunique() == 40
    np.testing.assert_array_equal(first.obsm["X_scproto_pca"], second.obsm["X_scproto_pca"])
