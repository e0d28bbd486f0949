"""Axes, legends and sizes that all figures share. matplotlib's global settings stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import InputError
from .._keys import label_column
from .._labels import NO_VALUE
from .colors import INK, MISSING, MUTED, Groups, group

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

FONT = 8.5
TEXT: dict[str, Any] = {"color": INK, "parse_math": False}
"""Style of names taken from the data: a dollar sign in them does not start a formula."""
LONGEST_NAME = 28


def column(obs: pd.DataFrame, name: str, where: str = "obs") -> pd.Series[Any]:
    """Return a column of ``obs``; if it is missing, the error names those that exist."""
    if name not in obs:
        raise InputError(f'There is no column "{name}" in {where}: choose one of {", ".join(map(str, obs.columns))}.')
    return obs[name]


def metacell_column(metacells: AnnData, name: str, obs: pd.DataFrame | None = None) -> pd.Series[Any]:
    """Return a column of the metacells, or of `obs` with some of them, by its own name or that of its label."""
    found = name if name in metacells.obs else label_column(metacells, name)
    return column(metacells.obs if obs is None else obs, found or name, "obs of the metacells")


@dataclass(frozen=True)
class Coloring:
    """How ``scatter`` colours items.

    ``values`` is its argument ``c``, ``known`` masks the items that have a value, and ``handles`` are for the legend.
    Categories have ``groups``; numbers have ``settings`` for their scale instead.
    """

    values: NDArray[Any]
    known: NDArray[np.bool_]
    settings: dict[str, Any]
    handles: list[Any]
    groups: Groups | None


def color_by(values: pd.Series[Any], palette: Mapping[str, Any] | None) -> Coloring:
    """Colour categories by the palette and numbers by viridis; items without a value are grey."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        groups = group(values, palette)
        handles = [marker(name, markerfacecolor=color, markersize=5) for name, color in groups.entries]
        return Coloring(groups.color_of_each, groups.codes >= 0, {}, handles, groups)
    from matplotlib import colormaps

    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    known = np.isfinite(numbers)
    settings = {"cmap": colormaps["viridis"].with_extremes(bad=MISSING), "plotnonfinite": True}
    handles = [] if known.all() else [marker(NO_VALUE, markerfacecolor=MISSING, markersize=5)]
    return Coloring(numbers, known, settings, handles, None)


def shorten(name: str) -> str:
    """Cut a long name so that legends stay narrow."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def count(n: int, noun: str) -> str:
    """Number and noun, such as "1 metacell" or "1,000 metacells"."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def new_axes(width: float, height: float) -> Axes:
    """Axes of a new pyplot figure, for callers who gave none."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def extent(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes in points, somewhat too large as long as the figure is not laid out."""
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    return box.width * points, box.height * points


def clean(ax: Axes, *, title: str, x: str = "", y: str = "") -> None:
    """Set the title on the left and the axis labels, keep two thin spines, and use small type."""
    ax.set_title(title, loc="left", fontsize=FONT + 1, fontweight="bold", **TEXT)
    ax.set_xlabel(x, fontsize=FONT, **TEXT)
    ax.set_ylabel(y, fontsize=FONT, **TEXT)
    ax.tick_params(labelsize=FONT - 0.5, colors=MUTED, width=0.7, length=3)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=MUTED, linewidth=0.7)


def circle_areas(ax: Axes, n_cells: NDArray[Any], total: float, largest: float) -> NDArray[np.float64]:
    """Areas of circles for scatter, in points², proportional to ``n_cells``.

    All circles together take at most the share ``total`` of the axes, and each circle at most ``largest``.
    """
    if not len(n_cells):
        return np.zeros(0)
    return np.prod(extent(ax)) * n_cells * min(total / n_cells.sum(), largest / n_cells.max())


def marker(name: str, **style: Any) -> Any:
    """Legend entry with a dot."""
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 7}
    return Line2D([], [], label=shorten(name), **dot | {"markeredgewidth": 0, "markeredgecolor": INK} | style)


def patches(entries: Iterable[tuple[str, str]]) -> list[Any]:
    """One filled legend entry per (name, colour)."""
    from matplotlib.patches import Patch

    return [Patch(color=color, label=shorten(name)) for name, color in entries]


def outside_legend(ax: Axes, handles: list[Any], *, y: float = 0.5, **settings: Any) -> None:
    """Put a legend to the right of the axes, centred at the height ``y``, with one column per 18 entries."""
    # matplotlib drops names with a leading underscore, so the names are set afterwards.
    legend = ax.legend(
        handles,
        [str(i) for i in range(len(handles))],
        loc="center left",
        bbox_to_anchor=(1.01, y),
        frameon=False,
        fontsize=FONT - 0.5,
        labelcolor=INK,
        ncols=-(-len(handles) // 18),
        handletextpad=0.4,
        columnspacing=1.0,
        borderaxespad=0.2,
        **settings,
    )
    for text in legend.get_texts():
        text.set(text=handles[int(text.get_text())].get_label(), parse_math=False)


def color_bar(ax: Axes, artist: Any, box: tuple[float, float, float, float]) -> Axes:
    """Draw a colour bar in ``box`` (left, bottom, width, height as shares of the axes) and return its axes."""
    bar = ax.figure.colorbar(artist, cax=ax.inset_axes(box))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=FONT - 0.5, colors=MUTED, width=0.7, length=3)
    return bar.ax
