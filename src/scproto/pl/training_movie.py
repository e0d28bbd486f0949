"""A movie of the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError
from .._files import atomic_path
from .._keys import BATCH
from .colors import INK, group
from .style import clean, column, marker, outside_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..train import Snapshots

FPS = 5
DPI = 90
CELL = 8.0  # points²
PROTOTYPE = 34.0  # points²
NAMES = {"x": "PC 1 of the last epoch", "y": "PC 2 of the last epoch"}


def training_movie(
    snapshots: Snapshots,
    adata: AnnData,
    path: str | Path,
    color: str = BATCH,
    *,
    palette: Mapping[str, Any] | None = None,
) -> Path:
    """Write a GIF of cells and prototypes over the epochs, five epochs per second.

    All frames use the same projection: the first two principal components of the cells in the last frame. Early frames
    therefore look flatter than the embedding was.

    Parameters
    ----------
    snapshots
        The :class:`scproto.train.Snapshots` that the training filled, by ``model.train(callbacks=[snapshots])``.
    adata
        The cells that the model was trained on, in the same order.
    path
        File to write; its name ends in ``.gif``. Its folder must exist.
    color
        Column of ``adata.obs``, read as categories; by default the batch.
    palette
        Colour of each category; by default that of :func:`scproto.pl.palette`. Categories without a colour share
        one grey.

    Returns
    -------
    path : pathlib.Path
        The file.

    Raises
    ------
    InputError
        If there are no snapshots, the number of cells differs, the column is missing, the palette holds something that
        is not a colour, the name does not end in ``.gif``, or the file cannot be written.
    """
    from matplotlib.animation import PillowWriter
    from matplotlib.figure import Figure

    path = Path(path)
    _check(snapshots, adata, path)
    groups = group(column(adata.obs, color).iloc[snapshots.cells], palette)
    cells, prototypes = _project(snapshots)
    figure = Figure(figsize=(5.8, 4.4), layout="constrained")
    ax = figure.subplots()
    order = np.random.default_rng(0).permutation(len(cells[0]))  # so that the last category does not hide the others
    dots = ax.scatter([], [], s=CELL, linewidths=0, zorder=1)
    dots.set_facecolor(groups.color_of_each[order].tolist())
    circles = ax.scatter([], [], s=PROTOTYPE, facecolors="#FFFFFFA0", edgecolors=INK, linewidths=0.7, zorder=2)
    handles = [marker(name, markerfacecolor=shade, markersize=5) for name, shade in groups.entries]
    outside_legend(ax, [*handles, marker("prototype", markerfacecolor="white", markeredgewidth=0.7)])
    _settle(ax, figure, np.concatenate(cells + prototypes))
    writer = PillowWriter(fps=FPS)
    with atomic_path(path) as temporary, writer.saving(figure, str(temporary), DPI):
        for frame, cell_places, prototype_places in zip(snapshots.frames, cells, prototypes, strict=True):
            dots.set_offsets(cell_places[order])
            circles.set_offsets(prototype_places)
            stage = "" if len(prototype_places) else " (warm-up)"
            clean(ax, title=f"Epoch {frame.epoch}{stage}", **NAMES)
            writer.grab_frame()
    return path


def _check(snapshots: Snapshots, adata: AnnData, path: Path) -> None:
    if not snapshots.frames:
        raise InputError("There are no snapshots: train with model.train(callbacks=[snapshots]) first.")
    if adata.n_obs != snapshots.n_cells_in_all:
        raise InputError(
            f"The snapshots are of {snapshots.n_cells_in_all} cells, but adata has {adata.n_obs}: give the cells that "
            "the model was trained on."
        )
    if path.suffix.lower() != ".gif":
        raise InputError(f'"{path.name}" does not end in ".gif": choose a name that does.')


def _project(snapshots: Snapshots) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Cells and prototypes of each frame, projected to the principal plane of the last frame, ``(n_points, 2)``."""
    last = snapshots.frames[-1].cells
    middle = last.mean(axis=0)
    axes = np.linalg.svd(last - middle, full_matrices=False)[2][:2].T  # (n_latent, 2); fewer columns for one cell
    plane = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))
    frames = snapshots.frames
    return [(f.cells - middle) @ plane for f in frames], [(f.prototypes - middle) @ plane for f in frames]


def _settle(ax: Axes, figure: Figure, points: NDArray[np.float32]) -> None:
    """Make room for the points of all frames, and lay the figure out once for all of them."""
    clean(ax, title="Epoch", **NAMES)
    centre, reach = (points.max(0) + points.min(0)) / 2, 0.54 * max(np.ptp(points, axis=0).max(), 1e-3)
    ax.set(xlim=centre[0] + np.array([-reach, reach]), ylim=centre[1] + np.array([-reach, reach]))
    ax.set(aspect="equal", xticks=[], yticks=[])
    for _ in range(2):  # axes with equal scales settle the second time
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
