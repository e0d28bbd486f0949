"""Training curves: losses, and whether the prototypes collapse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from .._errors import InputError
from .colors import MUTED, PALETTE
from .style import FONT, clean

PANELS = {
    "loss": "Total loss",
    "loss_reconstruction": "Reconstruction",
    "loss_swav": "Swapped prediction",
    "loss_propagation": "Propagation",
    "prototypes_used": "Prototypes in use",
    "perplexity": "Usage perplexity",
    "perplexity_batch": "Perplexity within a batch",
    "nearest_cosine": "Cosine to the prototype",
}
COLUMNS = 5


def training(history: Mapping[str, pd.DataFrame] | None, axes: Any = None) -> np.ndarray:
    """Draw the losses and the diagnostics of collapse over the epochs.

    The warm-up, during which only the reconstruction loss is trained, is shaded. Few prototypes in use, or a falling
    perplexity (the exponential of the entropy of their use), indicate collapse.

    Parameters
    ----------
    history
        ``model.history``: one DataFrame per curve, with the epoch as its index and the value in its first column.
        The function draws those of ``loss``, ``loss_reconstruction``, ``loss_swav``, ``loss_propagation``,
        ``prototypes_used``, ``perplexity``, ``perplexity_batch`` and ``nearest_cosine`` that the history holds.
    axes
        Axes to draw into, at least one per curve; unused axes are hidden. By default the axes of a new pyplot figure.

    Returns
    -------
    axes : numpy.ndarray
        The axes, as a flat array.

    Raises
    ------
    InputError
        If the history holds none of these curves, as before training or after very few steps, or if there are too few
        axes.
    """
    curves = curves_of(history)
    if not curves:
        raise InputError(_no_curve(history))
    axes = _new_axes(len(curves)) if axes is None else np.asarray(axes).ravel()
    if len(axes) < len(curves):
        raise InputError(f"There are {len(axes)} axes for {len(curves)} curves: give one per curve.")
    first, warm_up, last = epochs_of(curves)
    for ax, (name, curve) in zip(axes, curves.items(), strict=False):
        if warm_up > first:
            ax.axvspan(first, warm_up, color="#F1F1F1", linewidth=0, zorder=0)
        ax.plot(curve.index, curve.to_numpy(), color=PALETTE[0 if name.startswith("loss") else 2], linewidth=1.4)
        clean(ax, title=PANELS[name], x="epoch")
        ax.set_xlim(first, max(last, first + 1))
        ax.ticklabel_format(useOffset=False)
        ax.yaxis.get_major_locator().set_params(integer=name == "prototypes_used")
    if warm_up > first:
        axes[0].text((first + warm_up) / 2, 0.97, "warm-up", ha="center", va="top", fontsize=FONT - 1, color=MUTED,
                     transform=axes[0].get_xaxis_transform())  # fmt: skip
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    return axes


def _no_curve(history: Mapping[str, pd.DataFrame] | None) -> str:
    """Say why there is nothing to draw."""
    if not history:
        return "There is no training history: train the model first, and give model.history."
    if known := [name for name in PANELS if name in history]:
        return (
            f"The training was too short to draw, as its history has no values for {', '.join(known)}: train for more "
            "steps (max_steps)."
        )
    return (
        f"The history holds {', '.join(map(repr, history))} but none of the curves to draw "
        f"({', '.join(PANELS)}): give model.history."
    )


def curves_of(history: Mapping[str, pd.DataFrame] | None) -> dict[str, pd.Series[Any]]:
    """Values of each curve by epoch, without NaN and without empty curves, in the order of the panels."""
    history = history or {}
    found = {name: history[name].iloc[:, 0].astype(float).dropna() for name in PANELS if name in history}
    return {name: curve for name, curve in found.items() if len(curve)}


def epochs_of(curves: Mapping[str, pd.Series[Any]]) -> tuple[int, int, int]:
    """First epoch, first epoch after the warm-up, and last epoch of the curves."""
    first = int(min(curve.index[0] for curve in curves.values()))
    last = int(max(curve.index[-1] for curve in curves.values()))
    return first, int(curves["loss_swav"].index[0]) if "loss_swav" in curves else first, last


def _new_axes(n_curves: int) -> np.ndarray:
    import matplotlib.pyplot as plt

    rows = -(-n_curves // COLUMNS)
    axes = plt.subplots(rows, COLUMNS, figsize=(12.5, 2.3 * rows), layout="constrained", squeeze=False)[1].ravel()
    for ax in axes[n_curves:]:
        ax.remove()
    return axes[:n_curves]
