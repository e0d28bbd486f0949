"""Cells and prototypes on the joint UMAP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._errors import InputError
from .._keys import UMAP
from ._style import FONT, INK, MISSING, MUTED, Groups, clean, group, new_axes, outside_legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL_AREA = 25_000  # points², of all dots together, so that many cells get small dots
METACELL_AREA = 3_000  # points², of all circles together
LARGEST_METACELL = 75  # points²


def umap(adata: AnnData, color: str, *, metacells: AnnData | None = None, ax: Axes | None = None) -> Axes:
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
        number of cells; metacells without cells are not drawn. Where ``metacells.obs`` has `color` too, the
        circles are filled with it.
    ax
        Axes to draw into; without it a new pyplot figure is made.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the UMAP or the column is missing.
    """
    _check(adata, color, metacells)
    ax = new_axes(5.8, 4.4) if ax is None else ax
    values = adata.obs[color]
    # A random order, so that the last category does not hide the others.
    order = np.random.default_rng(0).permutation(adata.n_obs)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        _draw_numbers(ax, adata, values, order)
        handles, groups = [], None
    else:
        groups = group(values)
        handles = _draw_groups(ax, adata, groups, order)
    if metacells is not None:
        handles.append(_draw_metacells(ax, metacells, color, groups))
    if handles:
        outside_legend(ax, handles)
    clean(ax, title=color, x="UMAP 1", y="UMAP 2")
    ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    return ax


def _check(adata: AnnData, color: str, metacells: AnnData | None) -> None:
    for data in (adata, metacells):
        if data is not None and UMAP not in data.obsm:
            raise InputError(f'obsm["{UMAP}"] is missing: run scproto.tl.umap(adata, metacells) first.')
    if color not in adata.obs:
        columns = ", ".join(map(str, adata.obs.columns))
        raise InputError(f'There is no column "{color}" in obs: choose one of {columns}.')


def _dots(ax: Axes, adata: AnnData, order: np.ndarray, **settings: Any) -> Any:
    x, y = adata.obsm[UMAP][order].T
    area = float(np.clip(CELL_AREA / adata.n_obs, 1.0, 12.0))
    return ax.scatter(x, y, s=area, linewidths=0, rasterized=True, zorder=1, **settings)


def _draw_groups(ax: Axes, adata: AnnData, groups: Groups, order: np.ndarray) -> list[Any]:
    """Draw the cells, those without a value below; return the legend's handles."""
    from matplotlib.lines import Line2D

    order = order[np.argsort(groups.codes[order] >= 0, kind="stable")]
    colors = np.array([*groups.colors, MISSING])
    _dots(ax, adata, order, c=colors[groups.codes[order]])
    entries = list(zip(groups.names, groups.colors, strict=True))
    if (groups.codes < 0).any():
        entries.append(("no value", MISSING))
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5, "markeredgewidth": 0}
    return [Line2D([], [], color=color, label=shorten(name), **style) for name, color in entries]


def _draw_numbers(ax: Axes, adata: AnnData, values: pd.Series[Any], order: np.ndarray) -> None:
    numbers = values.to_numpy(dtype=float, na_value=np.nan)[order]
    points = _dots(ax, adata, order, c=numbers, cmap="viridis")
    bar = ax.figure.colorbar(points, ax=ax, shrink=0.5, aspect=16, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=FONT - 0.5, colors=MUTED, width=0.7, length=3)


def _draw_metacells(ax: Axes, metacells: AnnData, color: str, groups: Groups | None) -> Any:
    """Draw the circles; return the legend's handle."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    filled = metacells[metacells.obs["n_cells"].to_numpy() > 0]
    sizes = filled.obs["n_cells"].to_numpy(dtype=float)
    area = sizes * min(METACELL_AREA / sizes.sum(), LARGEST_METACELL / sizes.max(initial=1)) if len(sizes) else sizes
    face: Any = "#FFFFFFA0"
    if groups is not None and color in filled.obs:
        palette = dict(zip(groups.names, groups.colors, strict=True))
        face = [palette.get(str(value), MISSING) for value in filled.obs[color]]
    x, y = filled.obsm[UMAP].T
    circles = ax.scatter(x, y, s=area, facecolors=face, edgecolors=INK, linewidths=0.6, zorder=2)
    circles.set_path_effects([withStroke(linewidth=2.2, foreground="white")])  # stands out from dots of its colour
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 7, "markeredgewidth": 0.7}
    return Line2D([], [], markerfacecolor="white", markeredgecolor=INK, label="metacell (area: cells)", **style)
