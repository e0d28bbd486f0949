"""Tree and training curves as SVG paths, which take the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import TREE, batches_by_column
from ..pl.colors import Groups
from ..pl.metacells import shares_by_batch
from ..pl.training import PANELS, curves_of, epochs_of
from ..pl.tree import lay_out

TREE_WIDTH, TREE_HEIGHT, BARS_HEIGHT = 1080, 150, 70
CURVE_WIDTH, CURVE_HEIGHT = 200, 70


@dataclass(frozen=True)
class Tree:
    """Metacells side by side in the order of their tree, each ``step`` wide.

    ``branches`` is a path from 0 up to ``-TREE_HEIGHT``; ``bars`` are (batch, colour, path) of the stacked shares, from
    0 down to ``BARS_HEIGHT``.
    """

    order: list[int]
    step: float
    branches: str
    bars: list[tuple[str, str, str]]

    @property
    def width(self) -> float:
        """Width of the drawing."""
        return round(self.step * len(self.order), 1)


def draw_tree(metacells: AnnData, batches: Groups) -> Tree:
    """Lay out the tree of the metacells and, below it, the coloured shares of the batches."""
    linkage = np.asarray(metacells.uns[TREE], dtype=np.float64).reshape(-1, 4)
    order, corners = lay_out(linkage)
    step = float(np.clip(TREE_WIDTH / len(order), 4, 40))
    x = corners[..., 0] * step
    y = -TREE_HEIGHT * corners[..., 1] / max(float(corners[..., 1].max(initial=0)), np.finfo(float).tiny)
    branches = "".join(
        f"M{_short(a[0])} {_short(b[0])}V{_short(b[1])}H{_short(a[2])}V{_short(b[3])}"
        for a, b in zip(x, y, strict=True)
    )
    colors = dict(zip(batches.names, batches.colors, strict=True))
    shares, names, shades = shares_by_batch(metacells.obs, batches_by_column(metacells), colors)
    top = np.cumsum(shares[order], axis=1) - shares[order]
    bars = [
        (name, shade, _bars(top[:, i], shares[order, i], step))
        for i, (name, shade) in enumerate(zip(names, shades, strict=True))
    ]
    return Tree(order.tolist(), step, branches, bars)


def _bars(top: NDArray[np.float64], share: NDArray[np.float64], step: float) -> str:
    """Path with one rectangle per metacell that has the batch."""
    return "".join(
        f"M{_short(i * step)} {_short(top[i] * BARS_HEIGHT)}h{_short(step)}v{_short(share[i] * BARS_HEIGHT)}"
        f"h{_short(-step)}z"
        for i in np.flatnonzero(share > 0)
    )


@dataclass(frozen=True)
class Curve:
    """A curve over the epochs.

    ``path`` fills ``CURVE_WIDTH`` by ``CURVE_HEIGHT``; the warm-up lies to the left of ``warm_up``.
    """

    title: str
    path: str
    low: str
    high: str
    first: int
    last: int
    warm_up: float


def draw_curves(history: Mapping[str, pd.DataFrame] | None) -> list[Curve]:
    """Curves of the losses and of the diagnostics of collapse, as far as the history has them."""
    found = curves_of(history)
    if not found:
        return []
    first, start, last = epochs_of(found)
    width = max(last - first, 1)
    curves = []
    for name, curve in found.items():
        values = curve.to_numpy()
        low, high = float(values.min()), float(values.max())
        x = (curve.index.to_numpy() - first) / width * CURVE_WIDTH
        y = (high - values) / max(high - low, np.finfo(float).tiny) * CURVE_HEIGHT
        shade = round((start - first) / width * CURVE_WIDTH, 1)
        curves.append(Curve(PANELS[name], _line(x, y), _label(low), _label(high), first, last, shade))
    return curves


def _label(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _line(x: Iterable[float], y: Iterable[float]) -> str:
    points = "L".join(f"{_short(a)} {_short(b)}" for a, b in zip(x, y, strict=True))
    return f"M{points}h0"  # a single point is a dot


def _short(value: float) -> str:
    """A number with at most one decimal."""
    return f"{round(float(value), 1) + 0:g}"
