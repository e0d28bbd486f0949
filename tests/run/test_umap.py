from __future__ import annotations

import numpy as np
import pytest
from anndata import read_h5ad

from scproto import _keys
from scproto.run.hdf5 import writing_h5ad
from scproto.run.umap import add_umap


@pytest.mark.parametrize("earlier", [(), (_keys.UMAP,), (_keys.UMAP, _keys.SHOWN_UMAP)])
def test_the_layout_is_added_to_the_files(tiny_atlas, tmp_path, layout, earlier):
    """The layout of an earlier run is replaced, but not the one that viewers show."""
    metacells = tiny_atlas[:6].copy()
    for key in earlier:
        tiny_atlas.obsm[key] = np.ones((tiny_atlas.n_obs, 2))
    layout.submit(np.zeros((tiny_atlas.n_obs + 6, 8)), 3)
    shown = {key: tiny_atlas.obsm.pop(key) for key in earlier if key == _keys.UMAP}  # as a run removes its own
    with (
        writing_h5ad(tiny_atlas, tmp_path / "cells.h5ad") as first,
        writing_h5ad(metacells, tmp_path / "metacells.h5ad") as second,
    ):
        add_umap(tiny_atlas, metacells, layout, [first, second])
    assert len(shown) == (_keys.UMAP in earlier)
    for data, name in ((tiny_atlas, "cells.h5ad"), (metacells, "metacells.h5ad")):
        written = read_h5ad(tmp_path / name)
        assert set(written.obsm) == set(data.obsm)
        for key in data.obsm:
            np.testing.assert_array_equal(written.obsm[key], data.obsm[key])
        assert (written.obsm[_keys.UMAP] == 0).all()
    own = _keys.SHOWN_UMAP in earlier
    assert (tiny_atlas.obsm[_keys.SHOWN_UMAP] == own).all()
    assert (_keys.SHOWN_UMAP in metacells.obsm) != own
