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

CELL_AREA = 25_000  # points², all dots together, so that dots are small if there are many
METACELL_AREA = 0.04  # of all circles together, as a share of the axes
LARGEST_METACELL = 0.001  # as a share of the axes


def umap(
    adata: AnnData,
    color: str,
    *,
    metacells: AnnData | None = None,
    palette: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw cells as dots and, on top of them, prototypes as circles.

    Parameters
    ----------
    adata
        Cells with ``obsm["X_scproto_umap"]``, ``(n_cells, 2)``, from :func:`scproto.tl.umap`.
    color
        Column of ``adata.obs``. Numbers get a continuous scale; make a column of cluster numbers categorical. Anything
        else is read as categories, with colours that colour-blind readers can distinguish. If there are more than 30
        categories, the smallest share one grey.
    metacells
        Metacells with the same ``obsm``, and with ``obs["n_cells"]``. The area of a circle is proportional to its
        number of cells; metacells without cells are not drawn. If the metacells have the label `color` too, it fills
        the circles.
    palette
        Colour of each category; by default that of :func:`scproto.pl.palette`. Categories without a colour share
        one grey.
    ax
        Axes to draw into; by default the axes of a new pyplot figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn into.

    Raises
    ------
    InputError
        If the UMAP or the column is missing, or the palette holds something that is not a colour.
    """
    umaps = [umap_of(data) for data in (adata, metacells) if data is not None]
    coloring = color_by(column(adata.obs, color), palette)
    ax = new_axes(5.8, 4.4) if ax is None else ax
    # The order is random, so that the last category does not hide the others; cells without a value lie below.
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
    """Add the legend and a colour bar for `numbers`, and drop the ticks, as the scales of a UMAP mean nothing."""
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
    circles.set_path_effects([withStroke(linewidth=2.2, foreground="white")])  # to stand out from dots of its colour
