"""The UMAP of the metacells without cells: pies of their batches, or circles coloured by a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import batches_by_column
from .colors import INK
from .metacells import shares_by_batch, with_cells
from .style import circle_areas, color_by, count, marker, metacell_column, new_axes
from .umap import finish_map, umap_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AREA = 0.2  # of all circles together, as a share of the axes
LARGEST = 0.005  # as a share of the axes
EDGE = 0.5  # points
LEGEND_AREA = 120.0  # points², at most, for the circle in the legend


def metacell_map(
    metacells: AnnData,
    color: str | None = None,
    *,
    palette: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the metacells on the UMAP, each as a pie of its batches.

    The area of a metacell is proportional to its number of cells. Small metacells lie on top.

    Parameters
    ----------
    metacells
        Metacells with ``obsm["X_scproto_umap"]``, ``(n_metacells, 2)``, from :func:`scproto.tl.umap`, with
        ``obs["n_cells"]`` and, for pies, one column ``share_<batch>`` per batch. Metacells without cells are not
        drawn.
    color
        Column of ``metacells.obs`` that colours the metacells instead of the pies: a label, or a number such as
        ``"batch_entropy"``. Numbers get a continuous scale, anything else is read as categories.
    palette
        Colour of each batch or category; by default that of :func:`scproto.pl.palette`. Those without a colour share
        one grey, as do the smallest ones if there are more than 30.
    ax
        Axes to draw into; by default the axes of a new pyplot figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn into.

    Raises
    ------
    InputError
        If the UMAP or a column is missing, no metacell has a cell, or the palette holds something that is not a
        colour.
    """
    obs, xy = with_cells(metacells), umap_of(metacells)[metacells.obs["n_cells"].to_numpy() > 0]
    order = np.argsort(-obs["n_cells"].to_numpy(), kind="stable")
    obs, xy = obs.iloc[order], xy[order]
    if color is not None:
        coloring = color_by(metacell_column(metacells, color, obs), palette)
    else:
        shares, names, colors = shares_by_batch(obs, batches_by_column(metacells), palette)
    ax = new_axes(5.8, 4.4) if ax is None else ax
    area = circle_areas(ax, obs["n_cells"].to_numpy(), AREA, LARGEST)
    numbers = None
    if color is None:
        _draw_pies(ax, xy, area, shares, colors)
        handles = [marker(name, markerfacecolor=c, markersize=5) for name, c in zip(names, colors, strict=True)]
    else:
        x, y = xy.T
        circles = ax.scatter(x, y, s=area, c=coloring.values, edgecolors=INK, linewidths=EDGE, **coloring.settings)
        handles, numbers = coloring.handles, circles if coloring.groups is None else None
    handles = [*handles, _size_handle(area[0] / obs["n_cells"].iloc[0])]
    finish_map(ax, color or f"Batches in {count(len(obs), 'metacell')}", handles, numbers)
    return ax


def _draw_pies(
    ax: Axes, xy: NDArray[np.float32], area: NDArray[np.float64], shares: NDArray[np.float64], colors: list[str]
) -> None:
    """Draw all pies as one collection: the wedges of a pie, clockwise from the top, its rim, then the next pie.

    The paths are in points, so that pies stay round and keep their size whatever the scales of the axes.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.path import Path
    from matplotlib.transforms import IdentityTransform

    ends = np.cumsum(shares, axis=1)
    ends /= ends[:, -1:]
    turns = 90 - 360 * np.hstack([np.zeros((len(ends), 1)), ends])
    paths, row, faces, widths = [], [], [], []
    for i, angles in enumerate(turns):
        batches = np.flatnonzero(np.diff(angles))
        paths += [Path.wedge(angles[j + 1], angles[j]) for j in batches]
        faces += [colors[j] for j in batches]
        paths.append(Path.unit_circle())
        faces.append("none")
        widths += [0.0] * len(batches) + [EDGE]
        row += [i] * (len(batches) + 1)
    # These paths have radius 1, markers of scatter have 1/2: hence a quarter of the area.
    pies = PathCollection(paths, sizes=area[row] / 4, offsets=xy[row], offset_transform=ax.transData)
    pies.set(facecolors=faces, edgecolors=INK, linewidths=widths, transform=IdentityTransform())
    ax.add_collection(pies)
    ax.autoscale_view()


def _size_handle(area_of_cell: float) -> Any:
    """Legend entry for the largest round number of cells whose circle fits into a line of the legend."""
    most = max(1.0, LEGEND_AREA / area_of_cell)
    power = 10 ** int(np.log10(most))
    n = power * max(step for step in (1, 2, 5) if step * power <= most)
    size = float(np.sqrt(n * area_of_cell))
    return marker(count(n, "cell"), markersize=size, markerfacecolor="white", markeredgewidth=EDGE)
