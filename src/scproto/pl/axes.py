"""Genes of the axes of the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._errors import InputError
from .colors import PALETTE
from .style import FONT, TEXT, clean, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4


def axes(adata: AnnData, *, n_axes: int = 8, n_genes: int = 5, axes: Any = None) -> np.ndarray:
    """Draw the genes with the largest weights in each axis of the embedding, one panel per axis.

    Bars to the right are genes of the high end of the axis, bars to the left those of its low end.

    Parameters
    ----------
    adata
        Cells after :func:`scproto.tl.assign_metacells`, or metacells from :meth:`scproto.SCPROTO.get_metacells`.
    n_axes
        Number of axes to draw; all if there are fewer. The first axis holds most of the variance.
    n_genes
        Number of genes per end.
    axes
        Axes to draw into, at least one per axis of the embedding; unused axes are hidden. By default the axes of a new
        pyplot figure.

    Returns
    -------
    axes : numpy.ndarray
        The axes drawn into, as a flat array.

    Raises
    ------
    InputError
        If the embedding has no axes, or there are too few axes to draw into.
    """
    from ..tl.axes import rank_axis_genes

    table = rank_axis_genes(adata, n_genes)
    shown = [part for number, part in table.groupby("axis") if number <= n_axes]
    panels = _new_axes(len(shown), n_genes) if axes is None else np.asarray(axes).ravel()
    if len(panels) < len(shown):
        raise InputError(f"There are {len(panels)} axes to draw {len(shown)} axes of the embedding into: give more.")
    for ax, part in zip(panels, shown, strict=False):
        _draw(ax, part)
    for ax in panels[len(shown) :]:
        ax.set_visible(False)
    return panels[: len(shown)]


def _draw(ax: Axes, part: pd.DataFrame) -> None:
    """Draw the genes of one axis, from the high end at the top to the low end at the bottom."""
    bars = part.sort_values("weights")
    y = np.arange(len(bars))
    ax.barh(y, bars["weights"], height=0.7, color=[PALETTE[0] if w > 0 else PALETTE[1] for w in bars["weights"]])
    ax.set_yticks(y, [shorten(name) for name in bars["names"]])
    ax.axvline(0, color="#888888", linewidth=0.7)
    clean(ax, title=f"Axis {part['axis'].iloc[0]} ({part['share'].iloc[0]:.0%})", x="weight")
    for text in ax.get_yticklabels():
        text.set(fontsize=FONT - 1, **TEXT)


def _new_axes(n_axes: int, n_genes: int) -> np.ndarray:
    import matplotlib.pyplot as plt

    rows = -(-n_axes // COLUMNS)
    size = (11.0, rows * (0.9 + 0.32 * n_genes))
    return plt.subplots(rows, COLUMNS, figsize=size, layout="constrained", squeeze=False)[1].ravel()
