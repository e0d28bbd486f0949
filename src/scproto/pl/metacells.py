"""Sizes of the metacells, and how they mix the batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from .._labels import NO_VALUE, as_text
from ..metrics.metacells import size_cv
from .colors import INK, MUTED, PALETTE, check_colors, choose_colors, merge
from .style import FONT, TEXT, clean, column, count, new_axes, outside_legend, patches, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def metacell_sizes(metacells: AnnData, ax: Axes | None = None) -> Axes:
    """Draw a histogram of the number of cells per metacell, with the median.

    Parameters
    ----------
    metacells
        Metacells with ``obs["n_cells"]``. Only the title counts those without cells.
    ax
        Axes to draw into; by default the axes of a new pyplot figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn into.

    Raises
    ------
    InputError
        If no metacell has a cell.
    """
    from matplotlib.ticker import MaxNLocator

    sizes = with_cells(metacells)["n_cells"].to_numpy()
    ax = new_axes(4.4, 3.0) if ax is None else ax
    # The bins hold whole numbers: each covers the same number of possible sizes.
    n_bins = np.clip(1.5 * np.sqrt(len(sizes)), 5, 40)
    width = max(1, round((sizes.max() - sizes.min()) / n_bins))
    edges = np.arange(sizes.min(), sizes.max() + width + 1, width) - 0.5
    counts, _, _ = ax.hist(sizes, bins=list(edges), color=PALETTE[0], edgecolor="white", linewidth=0.5)
    median = float(np.median(sizes))
    ax.axvline(median, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.annotate(
        f"median {median:g}",
        (median, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -1),
        textcoords="offset points",
        va="top",
        fontsize=FONT - 0.5,
        color=INK,
    )
    empty = metacells.n_obs - len(sizes)
    counted = count(len(sizes), "metacell") + (f", {empty} more without cells" if empty else "")
    clean(ax, title=f"{counted}, size CV {size_cv(sizes):.2f}", x="cells per metacell", y="metacells")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(edges[0] - width / 2, edges[-1] + width / 2)
    ax.set_ylim(0, 1.15 * np.max(counts))  # leaves room for the label of the median
    return ax


def batch_shares(metacells: AnnData, ax: Axes | None = None) -> Axes:
    """Draw the shares of the batches in each metacell as stacked bars, beside the shares over all cells.

    If ``obs`` has a majority label (the first that ``model.get_metacells`` carried over), metacells are grouped by it,
    the most frequent label first. Within a label, they are sorted from the first batch to the last. A metacell that
    mixes the batches well looks like the bar of all cells.

    Parameters
    ----------
    metacells
        Metacells with ``obs["n_cells"]`` and one column ``share_<batch>`` per batch. Metacells without cells are not
        drawn. If there are more than 30 batches, the smallest are added up in grey.
    ax
        Axes to draw into; by default the axes of a new pyplot figure.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The axes drawn into.

    Raises
    ------
    InputError
        If there is no column ``share_<batch>``, or no metacell has a cell.
    """
    obs = with_cells(metacells)
    shares, names, colors = shares_by_batch(obs, _keys.batches_by_column(metacells))
    label = next(iter(_keys.labels_by_column(metacells)), None)
    labels = as_text([None] * len(obs) if label is None else obs[label])
    order, groups = _order(shares, labels.codes)
    ax = new_axes(9.0, 3.4) if ax is None else ax

    edges, stacked = np.arange(len(order) + 1), np.cumsum(shares[order], axis=1)
    overall = np.cumsum(np.average(shares, axis=0, weights=obs["n_cells"]))
    width = 0.03 * len(order)
    for i in reversed(range(len(names))):  # each covers the lower part of the one before
        ax.fill_between(edges, np.append(stacked[:, i], stacked[-1, i]), step="post", color=colors[i], linewidth=0)
        ax.bar(-width, overall[i], width=width, color=colors[i], linewidth=0)
    clean(ax, title=f"Batches in {count(len(order), 'metacell')}", y="share of cells")
    ax.set(xlim=(-1.6 * width, len(order)), ylim=(0, 1), xticks=[])
    ax.spines["bottom"].set_visible(False)
    name_of = [*labels.categories, NO_VALUE]  # the code of a missing value is -1
    named = [] if label is None else [(name_of[code], start, end) for code, start, end in groups]
    _name_groups(ax, named, len(order), -width)
    # From the top down, in the order of the stack.
    outside_legend(ax, patches(zip(names, colors, strict=True)), reverse=True, handlelength=0.9, handleheight=0.9)
    return ax


def with_cells(metacells: AnnData) -> pd.DataFrame:
    """``obs`` of the metacells that have at least one cell."""
    obs = metacells.obs[column(metacells.obs, "n_cells", "obs of the metacells").to_numpy() > 0]
    if not len(obs):
        raise InputError("No metacell has a cell: assign the cells to metacells first.")
    return obs


def shares_by_batch(
    obs: pd.DataFrame, columns: Mapping[str, str], palette: Mapping[str, Any] | None = None
) -> tuple[NDArray[np.float64], list[str], list[str]]:
    """Shares ``(n_metacells, n_batches)``, names and colours; batches without a colour are added up in grey.

    `columns` comes from :func:`scproto._keys.batches_by_column`.
    """
    if not columns:
        raise InputError(
            f'There is no column "{_keys.SHARE}<batch>" in obs: take the metacells from model.get_metacells().'
        )
    shares, batches = obs[list(columns)].to_numpy(dtype=float), list(columns.values())
    colors = choose_colors(batches, obs["n_cells"].to_numpy() @ shares) if palette is None else check_colors(palette)
    place, names, shades = merge(batches, colors)
    merged = np.zeros((len(obs), len(names)))
    np.add.at(merged.T, place, shares.T)
    return merged, names, shades


def _order(shares: NDArray[np.float64], labels: NDArray[Any]) -> tuple[NDArray[np.intp], list[tuple[Any, int, int]]]:
    """Order of the metacells, the most frequent label first, and (label, start, end) of each label in that order."""
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"))
    # The mean index of a metacell's batches: sorted by it, metacells run smoothly from the first batch to the last.
    place = shares @ np.arange(shares.shape[1])
    order = np.lexsort((place, rank[codes]))
    largest_first = np.argsort(rank)
    ends = np.cumsum(counts[largest_first])
    starts = ends - counts[largest_first]
    return order, [(names[i], int(a), int(b)) for i, a, b in zip(largest_first, starts, ends, strict=True)]


def _name_groups(ax: Axes, groups: list[tuple[str, int, int]], n: int, overall: float) -> None:
    """Write "all cells" and the labels under the bars without overlap, each joined by a line to its middle."""
    named = [("all cells", overall, overall), *groups]
    middle = np.array([(start + end) / 2 for _, start, end in named])
    text = _spread(middle, gap=n / 36, limit=n * 0.995)
    for (name, start, _), x, x_text in zip(named, middle, text, strict=True):
        ax.plot([x, x_text], [-0.01, -0.06], color=MUTED, linewidth=0.6, clip_on=False)
        ax.text(x_text, -0.07, shorten(name), ha="right", va="top", fontsize=FONT - 0.5, rotation=40,
                rotation_mode="anchor", **TEXT)  # fmt: skip
        if start > 0:
            ax.axvline(start, color="white", linewidth=1.4)


def _spread(x: NDArray[np.float64], gap: float, limit: float) -> NDArray[np.float64]:
    """Move sorted places until they are at least `gap` apart and the last is not beyond `limit`."""
    steps = gap * np.arange(len(x))
    right = np.maximum.accumulate(x - steps) + steps
    return np.minimum(right, limit - steps[::-1])
