"""Colours and axes that all figures share. matplotlib's global settings are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's seven colours and Tol's indigo. The others were added one by one, each the colour that lies
# farthest from those before it in OKLab, for full colour vision and simulated protan-, deutan- and tritanopia
# (Machado et al., 2009) alike. The closest pair of all 30 is 14 % closer than the closest of the first seven.
# fmt: off
PALETTE = [
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#332288", "#700A00", "#0000E0",
    "#85475C", "#9970FF", "#521447", "#C20000", "#ADB88F", "#CC0AA3", "#663347", "#8533FF", "#EBC266", "#00660A",
    "#85CCFF", "#663D7A", "#EB00CC", "#5C14AD", "#995C5C", "#ADEBA3", "#EB667A", "#85C2C2", "#665C85", "#70EBFF",
]
# fmt: on
INK = "#222222"
MUTED = "#6B6B6B"
MISSING = "#D9D9D9"
OTHER = "#9E9E9E"
FONT = 8.5
LONGEST_NAME = 28


@dataclass(frozen=True)
class Groups:
    """Categories with a colour each; ``codes`` index ``names`` and ``colors``, -1 stands for no value."""

    codes: NDArray[np.intp]
    names: list[str]
    colors: list[str]


def group(values: pd.Series[Any]) -> Groups:
    """Give every category a colour. Beyond 30 categories the smallest become one grey group."""
    categories = pd.Categorical(values).remove_unused_categories()
    codes = categories.codes.astype(np.intp)
    sizes = np.bincount(codes[codes >= 0], minlength=len(categories.categories))
    place, names, colors = merge_small([str(name) for name in categories.categories], sizes)
    return Groups(np.where(codes < 0, -1, np.append(place, -1)[codes]), names, colors)


def merge_small(names: list[str], sizes: NDArray[Any]) -> tuple[NDArray[np.intp], list[str], list[str]]:
    """Return the place of each category among those kept, and the names and colours of these."""
    n_names = len(names)
    if n_names <= len(PALETTE):
        return np.arange(n_names), names, PALETTE[:n_names]
    n_kept = len(PALETTE) - 1
    kept = np.sort(np.argsort(-sizes, kind="stable")[:n_kept])
    place = np.full(n_names, n_kept)
    place[kept] = np.arange(n_kept)
    return place, [*(names[i] for i in kept), f"{n_names - n_kept} others"], [*PALETTE[:n_kept], OTHER]


def shorten(name: str) -> str:
    """Cut a long name so that legends stay narrow."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def new_axes(width: float, height: float) -> Axes:
    """Axes of a new pyplot figure, for the caller who gave none."""
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def clean(ax: Axes, *, title: str, x: str = "", y: str = "") -> None:
    """Title on the left, names of the axes, two thin spines, small type."""
    ax.set_title(title, loc="left", fontsize=FONT + 1, fontweight="bold", color=INK)
    ax.set_xlabel(x, fontsize=FONT, color=INK)
    ax.set_ylabel(y, fontsize=FONT, color=INK)
    ax.tick_params(labelsize=FONT - 0.5, colors=MUTED, width=0.7, length=3)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=MUTED, linewidth=0.7)


def outside_legend(ax: Axes, handles: list[Any], **settings: Any) -> None:
    """Legend to the right of the axes, in as many columns as its height asks for."""
    ax.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        fontsize=FONT - 0.5,
        labelcolor=INK,
        ncols=-(-len(handles) // 18),
        handletextpad=0.4,
        columnspacing=1.0,
        borderaxespad=0.2,
        **settings,
    )
