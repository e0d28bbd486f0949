"""Colours of categories, the same for all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import InputError
from .._labels import NO_VALUE, as_text

# Okabe and Ito's seven colours and Tol's indigo. The others were added one by one. Each is the colour farthest
# from all before it in OKLab, both for full colour vision and for simulated protan-, deutan- and tritanopia
# (Machado et al., 2009). The closest pair of all 30 is 14 % closer than the closest pair of the first seven.
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


@dataclass(frozen=True)
class Groups:
    """Categories and their colours. ``codes`` index ``names`` and ``colors``; -1 stands for a missing value."""

    codes: NDArray[np.intp]
    names: list[str]
    colors: list[str]

    @property
    def color_of_each(self) -> NDArray[np.str_]:
        """Colour of each item, ``(n_items,)``."""
        return np.array([*self.colors, MISSING])[self.codes]

    def colors_of(self, values: pd.Series[Any]) -> NDArray[np.str_]:
        """Colours of other items with the same categories, ``(n_others,)``."""
        return group(values, dict(zip(self.names, self.colors, strict=True))).color_of_each

    @property
    def entries(self) -> list[tuple[str, str]]:
        """(name, colour) of each category, and of the items without a value if there are any."""
        without = [(NO_VALUE, MISSING)] if (self.codes < 0).any() else []
        return [*zip(self.names, self.colors, strict=True), *without]


def palette(values: pd.Series[Any]) -> dict[str, str]:
    """Choose one colour per category, for figures that should share their colours.

    By default, a figure chooses colours for the categories that it shows. Metacells may lack some categories of the
    cells, so give figures of cells and of metacells the same palette to make their colours agree.

    Parameters
    ----------
    values
        Categories, ``(n_items,)``, such as ``adata.obs["cell_type"]``. NaN is not a category.

    Returns
    -------
    colors : dict
        Colour of each category, by its name as text, in the order of the categories. Colour-blind readers can
        distinguish the 30 colours. With more categories, only the 29 most frequent get a colour, and figures show the
        others in one grey.
    """
    names, codes = _categories(values)
    return choose_colors(names, np.bincount(codes[codes >= 0], minlength=len(names)))


def choose_colors(names: Sequence[str], sizes: NDArray[Any]) -> dict[str, str]:
    """Colours in the order of the names. With more than 30 names, only the 29 largest get a colour."""
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    kept = np.sort(np.argsort(-sizes, kind="stable")[: len(PALETTE) - 1])
    return dict(zip([names[i] for i in kept], PALETTE, strict=False))


def group(values: pd.Series[Any], colors: Mapping[str, Any] | None = None) -> Groups:
    """Colour every category, by default as :func:`palette` does; categories without a colour form one grey group."""
    names, codes = _categories(values)
    place, names, kept = merge(names, palette(values) if colors is None else check_colors(colors))
    return Groups(np.where(codes < 0, -1, np.append(place, -1)[codes]), names, kept)


def merge(names: Sequence[str], colors: Mapping[str, str]) -> tuple[NDArray[np.intp], list[str], list[str]]:
    """Index of each name among those with a colour, then these names and their colours; the rest share one grey."""
    kept = [name for name in names if name in colors]
    place_of = {name: i for i, name in enumerate(kept)}
    place = np.array([place_of.get(name, len(kept)) for name in names], dtype=np.intp)
    shades = [colors[name] for name in kept]
    n_others = len(names) - len(kept)
    if n_others:
        return place, [*kept, "1 other" if n_others == 1 else f"{n_others} others"], [*shades, OTHER]
    return place, kept, shades


def check_colors(colors: Mapping[str, Any]) -> dict[str, str]:
    """Convert colours to hexadecimal.

    Raises
    ------
    InputError
        If matplotlib does not know one of the colours.
    """
    from matplotlib.colors import is_color_like, to_hex

    for name, color in colors.items():
        if not is_color_like(color):
            raise InputError(f'palette["{name}"] is {color!r}, which is not a colour: give one such as "#0072B2".')
    return {str(name): to_hex(color) for name, color in colors.items()}


def _categories(values: pd.Series[Any]) -> tuple[list[str], NDArray[np.intp]]:
    """Names of the categories that occur, and the code of each item."""
    labels = as_text(values)
    return list(labels.categories), labels.codes.astype(np.intp)
