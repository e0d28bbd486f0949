"""Cells and prototypes on the joint UMAP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError
from .._keys import UMAP, label_column
from .colors import INK, Groups
from .style import circle_areas, clean, color_bar, color_by, column, marker, new_axes, outside_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_AREA = 25_000  # points², of all dots together, so that many cells get small dots
METACELL_AREA = 0.04  # of the axes, all circles together
LARGEST_METACELL = 0.001  # of the axes


def umap(
    adata: AnnData,
    color: str,
    *,
    metacells: AnnData | None = None,
    palette: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw cells as dots and, on top, prototypes as circles.

    Parameters
    ----------
    adata
        Cells with ``obsm["X_scproto_umap"]``, ``(n_cells, 2)``, as :func:`scproto.tl.umap` makes it.
    color
        Column of ``adata.obs``. Numbers are drawn on a continuous scale (for cluster numbers make the column
        categorical), anything else as categories in colours that the colour-blind can tell apart. Of more
        than 30 categories the smallest share one grey.
    metacells
        Metacells with the same ``obsm`` and ``obs["n_cells"]``. The area of a circle is proportional to its
        number of cells; metacells without cells are not drawn. Where the metacells have the label `color` too, the
        circles are filled with it.
    palette
        Colour of each category; those left out share one grey. By default that of :func:`scproto.pl.palette`.
    ax
        Axes to draw into; without it a new pyplot figure is made.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the UMAP or the column is missing, or a colour of the palette is none.
    """
    umaps = [umap_of(data) for data in (adata, metacells) if data is not None]
    coloring = color_by(column(adata.obs, color), palette)
    ax = new_axes(5.8, 4.4) if ax is None else ax
    # A random order, so that the last category does not hide the others; cells without a value lie below.
    order = np.random.default_rng(0).permutation(adata.n_obs)
    order = order[np.argsort(coloring.known[order], kind="stable")]
    x, y = umaps[0][order].T
    dots = ax.scatter(
        x,
        y,
        s=float(np.clip(CELL_AREA / max(adata.n_obs, 1), 1.0, 12.0)),
        c=coloring.values[order],
        linewidths=0,
        rasterized=True,
        zorder=1,
        **coloring.settings,
    )
    handles = coloring.handles
    if metacells is not None:
        _draw_metacells(ax, metacells, umaps[1], color, coloring.groups)
        handles = [*handles, marker("metacell (area: cells)", markerfacecolor="white", markeredgewidth=0.7)]
    finish_map(ax, color, handles, numbers=dots if coloring.groups is None else None)
    return ax


def umap_of(data: AnnData) -> NDArray[np.float32]:
    """Coordinates of cells or metacells, ``(n_items, 2)``."""
    if UMAP not in data.obsm:
        raise InputError(f'obsm["{UMAP}"] is missing: run scproto.tl.umap(adata, metacells) first.')
    return np.asarray(data.obsm[UMAP])


def finish_map(ax: Axes, title: str, handles: list[Any], numbers: Any = None) -> None:
    """Legend, a colour bar for the artist that shows numbers, and no ticks: the scales of a UMAP mean nothing."""
    if numbers is not None:
        color_bar(ax, numbers, (1.03, 0.45, 0.03, 0.4))
    if handles:
        outside_legend(ax, handles, y=0.5 if numbers is None else 0.25)
    clean(ax, title=title, x="UMAP 1", y="UMAP 2")
    ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")


def _draw_metacells(ax: Axes, metacells: AnnData, xy: NDArray[np.float32], color: str, groups: Groups | None) -> None:
    from matplotlib.patheffects import withStroke

    n_cells = column(metacells.obs, "n_cells", "obs of the metacells").to_numpy()
    filled = n_cells > 0
    face: Any = "#FFFFFFA0"
    label = label_column(metacells, color)
    if groups is not None and label is not None:
        face = groups.colors_of(metacells.obs[label][filled])
    area = circle_areas(ax, n_cells[filled], METACELL_AREA, LARGEST_METACELL)
    x, y = xy[filled].T
    circles = ax.scatter(x, y, s=area, facecolors=face, edgecolors=INK, linewidths=0.6, zorder=2)
    circles.set_path_effects([withStroke(linewidth=2.2, foreground="white")])  # stands out from dots of its colour
