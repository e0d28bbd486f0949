"""The tree of the metacells above the expression of marker genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError
from .._keys import TREE
from .colors import INK, group
from .expression import expression
from .style import (
    FONT,
    TEXT,
    clean,
    color_bar,
    count,
    extent,
    metacell_column,
    new_axes,
    outside_legend,
    patches,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 0.35  # rows between the parts
STRIP = 0.3  # rows high without genes
HIGHEST_Z = 2.5
SMALLEST_NAME = 4.0  # points; names that would have to be smaller are left out
MOST_NAMES = 200  # metacells whose names are tried


def tree(
    metacells: AnnData,
    genes: str | Sequence[str] = (),
    *,
    color: str | None = None,
    palette: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the tree of the metacells and, below each, its expression of some genes.

    Metacells stand side by side in the order of the tree. From the top down: the tree, its heights proportional to
    the Ward distance; a strip with the label of each metacell; a row a gene.

    Parameters
    ----------
    metacells
        As ``model.get_metacells`` gives them, ``(n_metacells, n_genes)``: with ``uns["scproto_tree"]``, SciPy's
        linkage ``(n_metacells - 1, 4)``, and ``layers["decoded"]``, CP10k.
    genes
        Genes to show, in this order; by default none, the tree alone. Shown is the z-score over the metacells
        of log1p of the decoded expression, cut off at 2.5 on either side; 0 for a gene that does not vary.
    color
        Column of ``metacells.obs`` for the strip, taken as categories; by default there is no strip.
    palette
        Colour of each category; those left out share one grey. By default that of :func:`scproto.pl.palette`.
    ax
        Axes to draw into; without it a new pyplot figure is made. Names for which there is no room are left out.

    Returns
    -------
    The axes. A metacell is as wide as 1, from 0 on; a row is as high as 1, the first gene from 0 to 1.

    Raises
    ------
    InputError
        If the tree, a gene or the column is missing, the tree has other leaves than the metacells, or a colour of
        the palette is none.
    """
    from matplotlib.colors import to_rgba_array

    genes = [genes] if isinstance(genes, str) else list(genes)
    order, branches = lay_out(_linkage(metacells))
    z = _z_scores(metacells, genes)[order]
    groups = None if color is None else group(metacell_column(metacells, color), palette)
    ax = new_axes(9.0, 2.4 + 0.17 * len(genes)) if ax is None else ax
    clean(ax, title=f"Tree of {count(len(order), 'metacell')}")
    rows = {i + 0.5: gene for i, gene in enumerate(genes)}
    top = 0.0
    if groups is not None:
        top = -GAP - (1 if genes else STRIP)
        colors = to_rgba_array(groups.color_of_each[order])[None]
        ax.pcolormesh(np.arange(len(order) + 1), [top, -GAP], colors, rasterized=True)
        rows[(top - GAP) / 2] = str(color)
        outside_legend(ax, patches(groups.entries))
    height = max(0.4 * len(genes), 3.0)
    _draw_tree(ax, branches, top - GAP, height)
    ax.set(xlim=(0, len(order)), ylim=(len(genes), top - GAP - 1.03 * height))
    if genes:
        _draw_expression(ax, z, height)
    _name(ax, rows, metacells.obs_names[order])
    return ax


def lay_out(linkage: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Order of the leaves, ``(n_leaves,)``, and the corners (place, height) of each merge, ``(n_leaves - 1, 4, 2)``.

    Without recursion, which a tree of many leaves may exhaust.
    """
    from scipy.cluster.hierarchy import leaves_list

    n_leaves = len(linkage) + 1
    order = leaves_list(linkage).astype(np.intp) if len(linkage) else np.zeros(1, dtype=np.intp)
    place, height = np.empty(2 * n_leaves - 1), np.zeros(2 * n_leaves - 1)
    place[order] = np.arange(n_leaves) + 0.5
    corners = np.empty((n_leaves - 1, 4, 2))
    for i, (left, right) in enumerate(linkage[:, :2].astype(int)):
        node = n_leaves + i
        place[node], height[node] = (place[left] + place[right]) / 2, linkage[i, 2]
        corners[i, :, 0] = place[[left, left, right, right]]
        corners[i, :, 1] = height[[left, node, node, right]]
    return order, corners


def _linkage(metacells: AnnData) -> NDArray[np.float64]:
    """Return the linkage, checked against the number of metacells."""
    if TREE not in metacells.uns:
        raise InputError(f'uns["{TREE}"] is missing: take the metacells from model.get_metacells().')
    linkage = np.asarray(metacells.uns[TREE], dtype=np.float64).reshape(-1, 4)
    if len(linkage) + 1 != metacells.n_obs:
        raise InputError(
            f'The tree in uns["{TREE}"] has {len(linkage) + 1} leaves for {metacells.n_obs} metacells: give all that '
            "model.get_metacells() returned, or ask it for fewer with n=..."
        )
    return linkage


def _z_scores(metacells: AnnData, genes: list[str]) -> NDArray[np.float64]:
    """Z-scores over the metacells of log1p of the decoded expression, ``(n_metacells, n_genes)``."""
    values = np.log1p(expression(metacells, genes, "decoded", "the metacells"))
    spread = values.std(axis=0)
    return np.divide(values - values.mean(axis=0), spread, out=np.zeros_like(values), where=spread > 1e-6)


def _draw_tree(ax: Axes, branches: NDArray[np.float64], bottom: float, height: float) -> None:
    from matplotlib.collections import LineCollection

    lines = branches.copy()
    width = 0.7 if len(lines) <= MOST_NAMES else 0.35
    lines[..., 1] = bottom - height * lines[..., 1] / max(lines[..., 1].max(initial=0), np.finfo(float).tiny)
    ax.add_collection(LineCollection(list(lines), colors=INK, linewidths=width, capstyle="projecting"))


def _draw_expression(ax: Axes, z: NDArray[np.float64], height: float) -> None:
    """Heat map, and its colour bar left of the tree, above the names of the genes; no bar if all is 0."""
    limit = min(HIGHEST_Z, float(np.abs(z).max()))
    mesh = ax.pcolormesh(z.T, cmap="RdBu_r", vmin=-limit or -1, vmax=limit or 1, rasterized=True)
    if limit:
        bottom, top = ax.get_ylim()
        part = height / (bottom - top)
        bar = color_bar(ax, mesh, (-0.035, 1 - part, 0.01, 0.8 * part))
        bar.yaxis.set_ticks_position("left")
        bar.set_yticks([-int(limit), 0, int(limit)])
        bar.tick_params(labelsize=FONT - 1.5, pad=2)
        bar.set_title("z-score", fontsize=FONT - 1.5, color=INK, loc="right", pad=6)


def _name(ax: Axes, rows: Mapping[float, str], columns: Sequence[str]) -> None:
    """Name rows and columns, in smaller type where they are narrow, and leave names out that would be too small."""
    style: dict[str, Any] = {"fontsize": FONT - 0.5} | TEXT
    ax.set_yticks(list(rows), [shorten(name) for name in rows.values()], **style)
    if len(columns) <= MOST_NAMES:
        ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90, **style)
    else:
        ax.set_xticks([])
    ax.tick_params(length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.figure.figure.draw_without_rendering()  # how much room there is is known only now
    for axis, room in zip((ax.xaxis, ax.yaxis), extent(ax), strict=True):
        size = 0.8 * room / abs(np.subtract(*axis.get_view_interval()))
        if size < SMALLEST_NAME:
            axis.set_ticks([])
        else:
            axis.set_tick_params(labelsize=min(size, FONT - 0.5))
