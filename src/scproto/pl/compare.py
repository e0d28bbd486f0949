"""Changes of abundance between conditions: on the tree, on the map, and as intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import InputError
from .._keys import UMAP
from .colors import INK, MISSING, MUTED
from .metacell_map import AREA, EDGE, LARGEST
from .metacells import with_cells
from .style import FONT, TEXT, circle_areas, clean, color_bar, count, shorten
from .tree import lay_out, linkage_of
from .umap import umap_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVEL = 0.05
"""False discovery rate up to which a change is called."""

LIMIT = 2.0
"""Log2 fold change with the strongest colour."""

N_INTERVALS = 15


def compare(
    metacells: AnnData, *, condition: str | None = None, n_intervals: int = N_INTERVALS, axes: Any = None
) -> np.ndarray:
    """Draw which metacells and branches change in abundance between two conditions.

    The first panel is the tree of the metacells, coloured by the log2 fold change. Changes called at a false discovery
    rate of 5 % are thick. The second is the UMAP of the metacells in the same colours, with dark rims around those that
    are called. The third has the fold changes with the smallest p-values and their 95 % intervals.

    Parameters
    ----------
    metacells
        Metacells after ``scproto.tl.compare(..., metacells=metacells)``.
    condition
        Condition to show, if several were compared with the reference; by default the first.
    n_intervals
        Number of intervals.
    axes
        Three axes to draw into; by default those of a new pyplot figure. Without a UMAP the second is hidden.

    Returns
    -------
    axes : numpy.ndarray
        The axes drawn into, as a flat array of three.

    Raises
    ------
    InputError
        If the metacells have no comparison, it lacks the condition, or there are not three axes.
    """
    table = table_of(metacells, condition)
    panels = _new_axes(n_intervals) if axes is None else np.asarray(axes).ravel()
    if len(panels) != 3:
        raise InputError(f"There are {len(panels)} axes, but the figure has three panels: give three.")
    first = table.iloc[0]
    title = f"{shorten(first['condition'])} against {shorten(first['reference'])}"
    _draw_tree(panels[0], metacells, table, title)
    if UMAP in metacells.obsm:
        _draw_map(panels[1], metacells, table)
    else:
        panels[1].set_visible(False)
    _draw_intervals(panels[2], table, n_intervals)
    return panels


def table_of(metacells: AnnData, condition: str | None = None) -> pd.DataFrame:
    """Lines of one condition in the recorded table, with the metacells and then the branches in SciPy's order."""
    from ..tl.compare import recorded

    record = recorded(metacells)
    if not record:
        raise InputError("The metacells have no comparison: run scproto.tl.compare(..., metacells=metacells) first.")
    table = record["table"]
    found = list(dict.fromkeys(table["condition"].astype(str)))
    if condition is not None and condition not in found:
        raise InputError(f"The comparison has no condition {condition!r}; it has {', '.join(found)}.")
    return table[table["condition"] == (condition or found[0])].reset_index(drop=True)


def called(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Mask of the lines called at a false discovery rate of 5 %."""
    return (table["pvals_adj"] < LEVEL).to_numpy()


def names_of(table: pd.DataFrame) -> list[str]:
    """Names of the lines, with the number of metacells of each branch."""
    lines = zip(table["group"], table["kind"], table["n_metacells"], strict=True)
    return [str(name) if kind == "metacell" else f"{name} ({n} metacells)" for name, kind, n in lines]


def _colors(values: NDArray[np.float64]) -> Any:
    from matplotlib.colors import Normalize

    return np.where(np.isnan(values)[:, None], _rgba(MISSING), _cmap()(Normalize(-LIMIT, LIMIT)(np.nan_to_num(values))))


def _cmap() -> Any:
    from matplotlib import colormaps

    return colormaps["RdBu_r"]


def _rgba(color: str) -> Any:
    from matplotlib.colors import to_rgba

    return to_rgba(color)


def _draw_tree(ax: Axes, metacells: AnnData, table: pd.DataFrame, title: str) -> None:
    """Draw the tree; each node's colour is on the line that leads up to it, and on a strip for the metacells."""
    from matplotlib.collections import LineCollection

    linkage = linkage_of(metacells)
    order, corners = lay_out(linkage)
    change, thick = table["logfoldchanges"].to_numpy(), called(table)
    place, height = nodes_of(order, corners)
    lines, node = stems(linkage, place, height)
    width = np.where(thick[node], 3.2, 1.2)
    ax.add_collection(LineCollection(list(corners), colors=MUTED, linewidths=0.6))
    ax.add_collection(LineCollection(list(lines), colors=MUTED, linewidths=width + 0.6))
    ax.add_collection(LineCollection(list(lines), colors=_colors(change[node]), linewidths=width))
    n, top = len(order), max(float(height.max()), np.finfo(float).tiny)
    ax.bar(np.arange(n) + 0.5, -0.08 * top, 1.0, color=_colors(change[order]), linewidth=0)
    ax.set(xlim=(0, n), ylim=(-0.1 * top, 1.03 * top), xticks=[], yticks=[])
    clean(ax, title=title, x=count(n, "metacell"))
    for spine in ax.spines.values():
        spine.set_visible(False)


def nodes_of(order: NDArray[np.intp], corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place and height of every node of the tree, leaves first, each ``(2 n_leaves - 1,)``."""
    leaf = np.empty(len(order))
    leaf[order] = np.arange(len(order)) + 0.5
    place = np.concatenate([leaf, corners[:, 1:3, 0].mean(axis=1)])
    return place, np.concatenate([np.zeros(len(order)), corners[:, 1, 1]])


def stems(
    linkage: NDArray[np.float64], place: NDArray[np.float64], height: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Line from each node but the root up to its parent's height, ``(n_nodes - 1, 2, 2)``, and these nodes."""
    node = linkage[:, :2].astype(np.intp).ravel()
    top = np.repeat(linkage[:, 2], 2)
    low = np.stack([place[node], height[node]], axis=1)
    return np.stack([low, np.stack([place[node], top], axis=1)], axis=1), node


def _draw_map(ax: Axes, metacells: AnnData, table: pd.DataFrame) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    n_cells = with_cells(metacells)["n_cells"].to_numpy()
    x, y = umap_of(metacells).T
    leaves = table.iloc[: metacells.n_obs]
    area = circle_areas(ax, n_cells, AREA, LARGEST)
    colors = _colors(leaves["logfoldchanges"].to_numpy())
    ax.scatter(x, y, s=area, c=colors, edgecolors=INK, linewidths=list(np.where(called(leaves), 4 * EDGE, 0.4 * EDGE)))
    bar = color_bar(ax, ScalarMappable(Normalize(-LIMIT, LIMIT), _cmap()), (1.03, 0.3, 0.03, 0.4))
    bar.set_title("log2", fontsize=FONT - 1.5, color=INK)
    clean(ax, title="Metacells", x="UMAP 1", y="UMAP 2")
    ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")


def _draw_intervals(ax: Axes, table: pd.DataFrame, n_intervals: int) -> None:
    """Draw the smallest p-values from the top down, in ink if they are called and in grey otherwise."""
    shown = table.dropna(subset="pvals").sort_values("pvals", kind="stable").head(n_intervals)[::-1]
    y, mask = np.arange(len(shown)), called(shown)
    colors = [INK if found else MUTED for found in mask]
    ax.hlines(y, shown["ci_low"], shown["ci_high"], colors=colors, linewidths=np.where(mask, 1.8, 0.9))
    ax.scatter(shown["logfoldchanges"], y, s=18, c=_colors(shown["logfoldchanges"].to_numpy()), edgecolors=colors,
               linewidths=0.7, zorder=3)  # fmt: skip
    ax.axvline(0, color=MUTED, linewidth=0.7)
    ax.set_yticks(y, [shorten(name) for name in names_of(shown)])
    clean(ax, title="Smallest p-values", x="log2 fold change, 95 % interval")
    for text in ax.get_yticklabels():
        text.set(fontsize=FONT - 1, **TEXT)


def _new_axes(n_intervals: int) -> np.ndarray:
    import matplotlib.pyplot as plt

    size = 13.0, max(3.6, 0.9 + 0.2 * n_intervals)
    return plt.subplots(1, 3, figsize=size, layout="constrained", width_ratios=[1.4, 1.1, 0.9])[1]
