"""Draw how often labels of each confidence are right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from labelling import calibration_error, reliability

from scproto._files import atomic_path

COLUMNS = 3


def draw(cells: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Draw one panel per method and write the figure.

    `cells` maps the title of a method to a table with one row per cell and the columns ``confidence`` and ``correct``.
    """
    n_rows = -(-len(cells) // COLUMNS)
    size = (2.4 * COLUMNS, 2.5 * n_rows)
    figure, panels = plt.subplots(n_rows, COLUMNS, figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axes in panels.flat[len(cells) :]:
        axes.remove()
    for (title, found), axes in zip(cells.items(), panels.flat, strict=False):
        confidence, correct = found["confidence"].to_numpy(), found["correct"].to_numpy()
        bins = reliability(confidence, correct)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.bar(bins["confidence"], bins["n_cells"] / bins["n_cells"].sum(), width=0.04, color="0.85")
        axes.plot(bins["confidence"], bins["accuracy"], "o-", markersize=3, linewidth=1.2, color="C0")
        axes.set_title(f"{title}\nECE {calibration_error(confidence, correct):.3f}", fontsize=9)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=np.linspace(0, 1, 3), yticks=np.linspace(0, 1, 3))
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("confidence", fontsize=9)
    figure.supylabel("accuracy (bars: share of cells)", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
