"""Plots of the results, one set a data set. Colours are those of Okabe and Ito, shapes tell the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from scproto._files import atomic_path

from .methods import METHODS

OURS, EMBEDDING, METACELLS = "#D55E00", "#0072B2", "#999999"
KINDS = {
    "scproto": {"color": OURS, "marker": "*", "markersize": 15},
    "embedding and k-means": {"color": EMBEDDING, "marker": "o", "markersize": 7},
    "metacells only": {"color": METACELLS, "marker": "s", "markersize": 7},
}


def draw(summary: pd.DataFrame, folder: Path) -> None:
    """Draw quality and cost of the methods on each data set into PNG files.

    Parameters
    ----------
    summary
        Of :func:`comparison.tables.summarise`. Methods without a score are left out.
    folder
        Where the files are written.
    """
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for (data, number), part in summary[summary["n_seeds"] > 0].groupby(["data", "n_prototypes"], sort=False):
        for what, figure in {"quality": _quality(part), "cost": _cost(part)}.items():
            figure.suptitle(f"{data}, {number} metacells asked for")
            with atomic_path(folder / f"{data}_k{number}_{what}.png") as path:
                figure.savefig(path, dpi=150)
            plt.close(figure)


def _quality(part: pd.DataFrame):
    """Integration and purity against the mixing of the batches; bars are standard deviations over the seeds."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(14, 5), layout="constrained", gridspec_kw={"wspace": 0.05})
    for axis, (score, title) in zip(axes, {"total": "scIB total", "purity": "Metacell purity"}.items(), strict=True):
        points = part[part[f"{score}_mean"].notna()] if f"{score}_mean" in part else part.iloc[:0]
        labels = []
        for _, row in points.iterrows():
            x, y = row["batch_entropy_mean"], row[f"{score}_mean"]
            spread = {"xerr": np.nan_to_num(row["batch_entropy_sd"]), "yerr": np.nan_to_num(row[f"{score}_sd"])}
            axis.errorbar(x, y, **spread, linestyle="none", elinewidth=1, **KINDS[_kind(row)])
            labels.append((x, y, METHODS[row["method"]].title))
        axis.set(xlabel="Batch entropy of the metacells", ylabel=title)
        axis.spines[["top", "right"]].set_visible(False)
        _label(axis, labels)
    handles = [plt.Line2D([], [], linestyle="none", **style) for style in KINDS.values()]
    figure.legend(handles, list(KINDS), loc="outside lower center", ncols=len(KINDS), frameon=False)
    return figure


def _cost(part: pd.DataFrame):
    """Processor time and peak memory."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 0.4 * len(part) + 1.5), layout="constrained", sharey=True)
    names = [METHODS[method].title for method in part["method"]]
    colors = [KINDS[_kind(row)]["color"] for _, row in part.iterrows()]
    panels = {"cpu_seconds": "Processor time in seconds", "peak_memory_mib": "Peak memory in MiB"}
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        bars = axis.barh(names, part[f"{column}_mean"], xerr=part[f"{column}_sd"].fillna(0), color=colors)
        axis.bar_label(bars, fmt="{:,.0f}", padding=4)
        axis.set(xlabel=title, xscale="log", xlim=(1, None))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.xaxis.set_minor_formatter("")
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    return figure


def _kind(row: pd.Series) -> str:
    if row["method"] == "scproto":
        return "scproto"
    return "embedding and k-means" if pd.notna(row.get("total_mean")) else "metacells only"


def _label(axis, labels: list[tuple[float, float, str]]) -> None:
    """Write the names in a column at the right, in the order of the points, so that none covers another."""
    labels = sorted(labels, key=lambda label: label[1])
    heights = np.linspace(0, 1, 2 * len(labels) + 1)[1::2]  # the middles of equal parts
    for (x, y, name), height in zip(labels, heights, strict=True):
        axis.annotate(
            name,
            (x, y),
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            weight="bold" if name == METHODS["scproto"].title else "normal",
            arrowprops={"arrowstyle": "-", "color": "#BBBBBB", "linewidth": 0.7, "shrinkB": 5},
        )
