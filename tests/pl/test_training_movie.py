from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgb
from PIL import Image

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.colors import PALETTE
from scproto.pl.training_movie import _project


def snapshots(n_cells: int = 40, n_prototypes: int = 3, n_frames: int = 4) -> SimpleNamespace:
    """Cells that move; the prototypes appear half-way."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(n_cells, 5)) * [3, 2, 0.1, 0.1, 0.1]
    frames = [
        SimpleNamespace(
            epoch=i,
            cells=(np.roll(start, n_frames - 1 - i, axis=1)).astype(np.float32),
            prototypes=start[: n_prototypes if i >= n_frames // 2 else 0].astype(np.float32),
        )
        for i in range(n_frames)
    ]
    return SimpleNamespace(cells=np.arange(0, 2 * n_cells, 2), n_cells_in_all=2 * n_cells, frames=frames)


def cells(n: int = 80) -> AnnData:
    obs = {_keys.BATCH: pd.Categorical(["lab a", "lab b"] * (n // 2)), "cell_type": ["T", "B"] * (n // 2)}
    return AnnData(obs=pd.DataFrame(obs).rename(str))


def pixels(path: Path) -> np.ndarray:
    """Colours of a GIF in [0, 1], ``(n_frames, height, width, 3)``."""
    with Image.open(path) as film:
        frames = []
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")) / 255)
    return np.array(frames)


def near(frames: np.ndarray, color: str) -> np.ndarray:
    return np.abs(frames - to_rgb(color)).max(-1) < 0.06


def test_one_frame_per_epoch_shows_cells_in_their_colours(tmp_path: Path) -> None:
    path = scproto.pl.training_movie(snapshots(), cells(), tmp_path / "film.gif")
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]
    frames = pixels(path)
    assert len(frames) == 4
    width = frames.shape[2]
    left = near(frames, PALETTE[0])[:, :, : width // 2]
    assert (left.sum((1, 2)) > 100).all()  # the snapshots keep every second cell: all of "lab a"
    assert not near(frames, PALETTE[1]).any()
    assert (np.diff(left.astype(int), axis=0) != 0).any((1, 2)).all()  # they move


def test_the_legend_stays_where_it_is(tmp_path: Path) -> None:
    frames = pixels(scproto.pl.training_movie(snapshots(), cells(), tmp_path / "film.gif", "cell_type"))
    legend = frames[:, :, int(0.85 * frames.shape[2]) :]
    assert (legend < 0.5).any()
    np.testing.assert_allclose(legend, legend[:1].repeat(4, axis=0), atol=0.05)


def test_all_frames_show_the_principal_plane_of_the_last_frame() -> None:
    kept = snapshots()
    places, prototypes = _project(kept)
    last = kept.frames[-1].cells
    spread = places[-1].var(axis=0)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(last.T, bias=True)))[::-1]
    np.testing.assert_allclose(spread, eigenvalues[:2], rtol=1e-4)
    # One linear map serves all frames.
    plane = np.linalg.lstsq(last - last.mean(0), places[-1], rcond=None)[0]
    for frame, cell_places, prototype_places in zip(kept.frames, places, prototypes, strict=True):
        np.testing.assert_allclose(cell_places, (frame.cells - last.mean(0)) @ plane, atol=1e-4)
        np.testing.assert_allclose(prototype_places, (frame.prototypes - last.mean(0)) @ plane, atol=1e-4)
    assert [len(p) for p in prototypes] == [0, 0, 3, 3]


def test_one_cell_in_one_frame(tmp_path: Path) -> None:
    frames = pixels(scproto.pl.training_movie(snapshots(1, 1, 1), cells(2), tmp_path / "film.gif"))
    assert len(frames) == 1
    assert near(frames, PALETTE[0]).any()


def test_many_labels_and_no_labels(tmp_path: Path) -> None:
    adata = cells(600)
    adata.obs["cell_type"] = np.nan
    kept = snapshots(300)
    assert len(pixels(scproto.pl.training_movie(kept, adata, tmp_path / "a.gif", "cell_type"))) == 4
    adata.obs["cell_type"] = [f"type {i}" for i in range(600)]
    assert len(pixels(scproto.pl.training_movie(kept, adata, tmp_path / "b.gif", "cell_type"))) == 4


def test_errors_name_the_bad_input(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    kept, adata = snapshots(), cells()
    with pytest.raises(InputError, match="There are no snapshots: train with"):
        scproto.pl.training_movie(SimpleNamespace(frames=[]), adata, tmp_path / "film.gif")
    with pytest.raises(InputError, match="of 80 cells, but adata has 10"):
        scproto.pl.training_movie(kept, cells(10), tmp_path / "film.gif")
    with pytest.raises(InputError, match=r'"film\.mp4" does not end in "\.gif"'):
        scproto.pl.training_movie(kept, adata, tmp_path / "film.mp4")
    with pytest.raises(InputError, match='no column "lineage"'):
        scproto.pl.training_movie(kept, adata, tmp_path / "film.gif", "lineage")
    with pytest.raises(InputError, match="Cannot write"):
        scproto.pl.training_movie(kept, adata, tmp_path / "absent" / "film.gif")
    assert not list(tmp_path.iterdir())
    assert plt.get_fignums() == []
