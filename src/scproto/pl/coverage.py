"""How far the cells lie from their prototypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError
from .._keys import BATCH, DISTANCE, OUTLIER
from .colors import group
from .style import clean, column, marker, new_axes, outside_legend, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 1000  # per curve; nobody can see more


def coverage(
    adata: AnnData, color: str = BATCH, *, palette: Mapping[str, Any] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the share of cells that have a prototype within a given distance, one curve per batch or label.

    A curve that rises late belongs to cells that the prototypes cover badly, for example a poorly integrated batch
    or a rare label. Marks on the curves show cells flagged as outliers.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.tl.assign_metacells`, with ``obs["metacell_distance"]``, the cosine distance to
        the nearest prototype, and ``obs["metacell_outlier"]``.
    color
        Column of ``adata.obs``, read as categories; by default the batch. If there are more than 30 categories, the
        smallest share one grey curve.
    palette
        Colour of each category; by default that of :func:`scproto.pl.palette`. Categories without a colour share
        one grey curve.
    ax
        Axes to draw into; by default the axes of a new pyplot figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn into.

    Raises
    ------
    InputError
        If a column is missing, no cell has a distance, or the palette holds something that is not a colour.
    """
    from matplotlib.ticker import MaxNLocator

    for name in (DISTANCE, OUTLIER):
        if name not in adata.obs:
            raise InputError(f'obs["{name}"] is missing: run scproto.tl.assign_metacells(adata, model) first.')
    column(adata.obs, color)
    obs = adata.obs[adata.obs[DISTANCE].notna()]
    if not len(obs):
        raise InputError(f'No cell has a value in obs["{DISTANCE}"]: run scproto.tl.assign_metacells(adata, model).')
    groups = group(obs[color], palette)
    distance, outlier = obs[DISTANCE].to_numpy(dtype=float), obs[OUTLIER].isin([True]).to_numpy()
    ax = new_axes(5.8, 3.4) if ax is None else ax
    handles = []
    for code, (name, shade) in enumerate(groups.entries):
        members = groups.codes == (code if code < len(groups.names) else -1)
        handles.append(_draw_curve(ax, distance[members], outlier[members], shade, name))
    if outlier.any():
        share = f"{outlier.mean():.1%}" if outlier.mean() >= 0.001 else "< 0.1%"
        handles.append(marker(f"outliers ({share})", markerfacecolor="white", markeredgewidth=0.8, markersize=4))
    outside_legend(ax, handles, handlelength=1.2)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    title = f"Coverage by {'batch' if color == BATCH else color}"
    clean(ax, title=title, x="cosine distance to the nearest prototype", y="share of cells")
    ax.set(xlim=(0, 1.03 * distance.max() or 1.0), ylim=(0, 1.02))
    return ax


def _draw_curve(ax: Axes, distance: NDArray[np.float64], outlier: NDArray[np.bool_], shade: str, name: str) -> Any:
    """Draw the cumulative share over the distance, with a mark for each outlier, and return the curve."""
    order = np.argsort(distance, kind="stable")
    distance, outlier = distance[order], outlier[order]
    share = np.arange(1, len(distance) + 1) / len(distance)
    shown = np.unique(np.linspace(0, len(distance) - 1, MOST_POINTS).round().astype(int))
    x, y = np.append(distance[0], distance[shown]), np.append(0.0, share[shown])
    (curve,) = ax.plot(x, y, drawstyle="steps-post", color=shade, linewidth=1.4)
    curve.set_label(shorten(name))  # plot ignores an empty label
    if outlier.any():
        ax.scatter(
            distance[outlier], share[outlier], s=12, facecolors="white", edgecolors=shade, linewidths=0.8,
            rasterized=True, zorder=3,
        )  # fmt: skip
    return curve
