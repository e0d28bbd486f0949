from __future__ import annotations

import importlib

import numpy as np
import pytest
from anndata import AnnData

from scproto import _keys
from scproto._errors import InputError

umap = importlib.import_module("scproto.tl.umap").umap


def data(n_cells: int, n_metacells: int, n_latent: int = 8) -> tuple[AnnData, AnnData]:
    """Two distant groups on the sphere. Items alternate between them, and prototypes lie among the cells."""
    rng = np.random.default_rng(0)
    made = []
    for n in (n_cells, n_metacells):
        x = rng.normal(scale=0.1, size=(n, n_latent))
        x[np.arange(n), np.arange(n) % 2] += 1
        made.append(AnnData(obsm={_keys.LATENT: (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)}))
    return made[0], made[1]


def test_prototypes_lie_among_the_cells_of_their_group() -> None:
    cells, metacells = data(80, 6)
    umap(cells, metacells)
    assert cells.obsm[_keys.UMAP].shape == (80, 2)
    assert metacells.obsm[_keys.UMAP].shape == (6, 2)
    between = np.linalg.norm(metacells.obsm[_keys.UMAP][:, None] - cells.obsm[_keys.UMAP], axis=2)
    np.testing.assert_array_equal(between.argmin(axis=1) % 2, np.arange(6) % 2)


def test_same_seed_gives_the_same_layout() -> None:
    layouts = []
    for seed in (3, 3, 4):
        cells, metacells = data(60, 5)
        umap(cells, metacells, seed=seed)
        layouts.append(cells.obsm[_keys.UMAP])
    np.testing.assert_array_equal(layouts[0], layouts[1])
    assert not np.array_equal(layouts[0], layouts[2])


def test_duplicate_cells_get_finite_coordinates() -> None:
    cells, metacells = data(80, 6)
    cells.obsm[_keys.LATENT][:40] = cells.obsm[_keys.LATENT][0]
    umap(cells, metacells)
    assert np.isfinite(cells.obsm[_keys.UMAP]).all()


def test_few_cells_and_one_metacell_get_finite_coordinates() -> None:
    cells, metacells = data(4, 1)
    umap(cells, metacells)
    assert np.isfinite(cells.obsm[_keys.UMAP]).all()
    assert metacells.obsm[_keys.UMAP].shape == (1, 2)


def test_errors_name_the_bad_input() -> None:
    cells, metacells = data(3, 1)
    with pytest.raises(InputError, match="seed=-1"):
        umap(cells, metacells, seed=-1)
    with pytest.raises(InputError, match="same model"):
        umap(cells, data(3, 3, n_latent=5)[1])
    del metacells.obsm[_keys.LATENT]
    with pytest.raises(InputError, match="The metacells have no"):
        umap(cells, metacells)


def test_three_points_get_different_coordinates() -> None:
    cells, metacells = data(2, 1)
    umap(cells, metacells)
    both = np.concatenate([cells.obsm[_keys.UMAP], metacells.obsm[_keys.UMAP]])
    assert np.isfinite(both).all()
    assert len(np.unique(both, axis=0)) == 3
