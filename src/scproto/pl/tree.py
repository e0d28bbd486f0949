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

GAP = 0.35  # between the parts, in rows
STRIP = 0.3  # height without genes, in rows
HIGHEST_Z = 2.5
SMALLEST_NAME = 4.0  # points; names that would need smaller type are left out
MOST_NAMES = 200  # with more metacells, their names are left out


def tree(
    metacells: AnnData,
    genes: str | Sequence[str] = (),
    *,
    color: str | None = None,
    palette: Mapping[str, Any] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the tree of the metacells and, below it, the expression of some genes in each metacell.

    Metacells stand side by side in the order of the tree. The figure shows, from the top down, the tree, with heights
    proportional to the Ward distance; a strip with the label of each metacell; and one row per gene.

    Parameters
    ----------
    metacells
        Metacells from ``model.get_metacells``, ``(n_metacells, n_genes)``, with ``uns["scproto_tree"]``, SciPy's
        linkage ``(n_metacells - 1, 4)``, and ``layers["decoded"]``, CP10k.
    genes
        Genes to show, in this order; by default only the tree is drawn. Colours show the z-score over the metacells
        of log1p of the decoded expression, cut off at 2.5 on either side. It is 0 for a gene that does not vary.
    color
        Column of ``metacells.obs`` for the strip, read as categories; by default there is no strip.
    palette
        Colour of each category; by default that of :func:`scproto.pl.palette`. Categories without a colour share
        one grey.
    ax
        Axes to draw into; by default the axes of a new pyplot figure. Names that do not fit are left out.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn into. Each metacell is 1 wide, starting at 0, and each row 1 high, the first gene from 0 to 1.

    Raises
    ------
    InputError
        If the tree, a gene or the column is missing, the tree does not have one leaf per metacell, or the palette
        holds something that is not a colour.
    """
    from matplotlib.colors import to_rgba_array

    genes = [genes] if isinstance(genes, str) else list(genes)
    order, branches = lay_out(linkage_of(metacells))
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

    It works without recursion, whose limit a tree with many leaves may exceed.
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


def linkage_of(metacells: AnnData) -> NDArray[np.float64]:
    """Linkage of the tree, checked against the number of metacells."""
    if TREE not in metacells.uns:
        raise InputError(f'uns["{TREE}"] is missing: take the metacells from model.get_metacells().')
    linkage = np.asarray(metacells.uns[TREE], dtype=np.float64).reshape(-1, 4)
    if len(linkage) + 1 != metacells.n_obs:
        raise InputError(
            f'The tree in uns["{TREE}"] has {len(linkage) + 1} leaves for {metacells.n_obs} metacells: give all that '
            "model.get_metacells() returned, or ask it for fewer with its argument n."
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
    """Draw the heat map and, left of the tree, its colour bar; there is no bar if all values are 0."""
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
    """Name rows and columns in type that fits; leave out names that would be too small."""
    style: dict[str, Any] = {"fontsize": FONT - 0.5} | TEXT
    ax.set_yticks(list(rows), [shorten(name) for name in rows.values()], **style)
    if len(columns) <= MOST_NAMES:
        ax.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=90, **style)
    else:
        ax.set_xticks([])
    ax.tick_params(length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.figure.figure.draw_without_rendering()  # only now the room for names is known
    for axis, room in zip((ax.xaxis, ax.yaxis), extent(ax), strict=True):
        size = 0.8 * room / abs(np.subtract(*axis.get_view_interval()))
        if size < SMALLEST_NAME:
            axis.set_ticks([])
        else:
            axis.set_tick_params(labelsize=min(size, FONT - 0.5))
