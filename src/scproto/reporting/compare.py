"""The page of a comparison of conditions: one HTML file without scripts."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InputError
from .._labels import as_text
from ..metacells.tree import tree_members
from ..pl.compare import LIMIT, called, names_of, nodes_of, stems, table_of
from ..pl.style import count
from ..pl.tree import lay_out, linkage_of
from ..tl.compare import recorded
from .drawings import TREE_HEIGHT, TREE_WIDTH

UP, DOWN = "#D55E00", "#0072B2"
MAP_SIZE, MAP_AREA = 420.0, 0.15
BAR_WIDTH, LONGEST = 150.0, 4.0
"""Width of the drawing of an interval, and the largest log2 fold change that it shows."""

N_SENTENCES = 8
N_FIRST = 20


@dataclass(frozen=True)
class Contrast:
    """One condition against the reference, as plain values for the template."""

    condition: str
    reference: str
    headline: str
    sentences: list[str]
    rows: list[dict[str, Any]]
    width: float
    bars: list[tuple[str, str, bool]]
    stems: list[tuple[str, str, bool, str]]
    leaves: list[tuple[float, float, str, str]]
    circles: list[tuple[float, float, float, str, bool, str]]


def render_comparison(metacells: AnnData) -> str:
    """Return the page of the comparison that :func:`scproto.tl.compare` recorded in the metacells.

    Parameters
    ----------
    metacells
        Metacells with their tree; the map needs ``obsm["X_scproto_umap"]``.

    Returns
    -------
    page : str
        HTML that loads nothing.

    Raises
    ------
    InputError
        If there is no comparison.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    if not (record := recorded(metacells)):
        raise InputError("The metacells have no comparison: run scproto.tl.compare(..., metacells=metacells) first.")
    conditions = list(dict.fromkeys(record["table"]["condition"].astype(str)))
    environment = Environment(
        loader=PackageLoader("scproto.reporting", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("compare.html.j2").render(
        contrasts=[_contrast(metacells, table_of(metacells, name)) for name in conditions],
        n_samples=dict(zip(map(str, record["conditions"]), map(int, record["n_samples"]), strict=True)),
        keys={name: str(value) for name, value in record.items() if isinstance(value, str)},
        tree_height=TREE_HEIGHT,
        map_size=MAP_SIZE,
        n_first=N_FIRST,
        css=Markup((files(__package__) / "report.css").read_text(encoding="utf-8")),  # the package's own file
    )


def _contrast(metacells: AnnData, table: pd.DataFrame) -> Contrast:
    """Put the lines of one condition into words and drawings."""
    condition, reference = str(table["condition"][0]), str(table["reference"][0])
    names, labels, mask = names_of(table), _labels(metacells), called(table)
    order = table["pvals"].fillna(2.0).to_numpy().argsort(kind="stable")
    found = [
        f"{int(mask[part].sum())} of {count(int(part.sum()), kind)}"
        for kind in ("metacell", "branch")
        if (part := (table["kind"] == kind).to_numpy()).any()
    ]
    rows = [_row(table.iloc[i], names[i], labels[i], bool(mask[i])) for i in order]
    return Contrast(
        condition,
        reference,
        f"{condition} against {reference}: {' and '.join(found).replace('branchs', 'branches')} change.",
        [_sentence(table.iloc[i], names[i], labels[i]) for i in order if mask[i]][:N_SENTENCES],
        rows,
        *_tree(metacells, table, names, mask),
        _map(metacells, table, mask),
    )


def _labels(metacells: AnnData) -> list[str]:
    """Most common label of each metacell and branch, by cells; empty without labels."""
    n = metacells.n_obs
    members = tree_members(linkage_of(metacells), n)[: max(n, 2 * n - 2)]
    column = next(iter(_keys.labels_by_column(metacells)), None)
    if column is None:
        return [""] * len(members)
    labels = as_text(metacells.obs[column])
    mass = np.eye(len(labels.categories) + 1)[labels.codes][:, :-1] * metacells.obs["n_cells"].to_numpy()[:, None]
    total = members @ mass
    return [str(labels.categories[row.argmax()]) if row.any() else "" for row in total]


def _sentence(line: pd.Series[Any], name: str, label: str) -> str:
    times, low, high = (2.0 ** float(line[key]) for key in ("logfoldchanges", "ci_low", "ci_high"))
    what = f"{name}, mostly {label}," if label else name
    return (
        f"{what}: {times:.2g} times as abundant in {line['condition']} as in {line['reference']} (95 % interval "
        f"{low:.2g} to {high:.2g})."
    )


def _row(line: pd.Series[Any], name: str, label: str, is_called: bool) -> dict[str, Any]:
    """Cells of the table as text, and its interval as a drawing."""
    tested = bool(np.isfinite(line["pvals"]))
    low, at, high = (
        round(BAR_WIDTH / 2 * float(np.clip(line[key] / LONGEST, -1, 1)), 1) if tested else 0.0
        for key in ("ci_low", "logfoldchanges", "ci_high")
    )
    return {
        "name": name,
        "label": label,
        "n_cells": f"{int(line['n_cells']):,}",
        "share": f"{line['share']:.2%}",
        "share_reference": f"{line['share_reference']:.2%}",
        "change": f"{line['logfoldchanges']:+.2f}" if tested else "",
        "interval": f"{line['ci_low']:+.2f} to {line['ci_high']:+.2f}" if tested else "not tested",
        "p": f"{line['pvals']:.2g}" if tested else "",
        "fdr": f"{line['pvals_adj']:.2g}" if tested else "",
        "called": is_called,
        "tested": tested,
        "bar": (low, at, high),
        "shade": _shade(line["logfoldchanges"]),
    }


def _shade(change: float) -> str:
    """CSS colour of a log2 fold change, between the grey of the page and one colour per direction."""
    if not np.isfinite(change):
        return "var(--ground)"
    strength = min(abs(float(change)) / LIMIT, 1)
    return f"color-mix(in oklab, {UP if change > 0 else DOWN} {strength:.0%}, var(--dot))"


def _title(name: str, change: float) -> str:
    return f"{name}: {change:+.2f}" if np.isfinite(change) else f"{name}: not tested"


def _tree(
    metacells: AnnData, table: pd.DataFrame, names: list[str], mask: NDArray[np.bool_]
) -> tuple[float, list[Any], list[Any], list[Any]]:
    """Width of the tree, its horizontal bars, the coloured stems, and the leaves."""
    linkage = linkage_of(metacells)
    order, corners = lay_out(linkage)
    place, height = nodes_of(order, corners)
    step = float(np.clip(TREE_WIDTH / len(order), 4, 40))
    scale = TREE_HEIGHT / (float(height.max()) or 1.0)
    lines, node = stems(linkage, place, height)
    change = table["logfoldchanges"].to_numpy()
    titles = [_title(name, value) for name, value in zip(names, change, strict=True)]
    bars = [
        f"M{a[1] * step:.1f} {-b[1] * scale:.1f}H{a[2] * step:.1f}"
        for a, b in zip(*corners.T.swapaxes(1, 2), strict=True)
    ]
    drawn = [
        (
            f"M{line[0, 0] * step:.1f} {-line[0, 1] * scale:.1f}V{-line[1, 1] * scale:.1f}",
            _shade(change[i]),
            bool(mask[i]),
            titles[i],
        )
        for line, i in zip(lines, node, strict=True)
    ]
    leaves = [(round(k * step, 1), round(step, 1), _shade(change[i]), titles[i]) for k, i in enumerate(order)]
    return round(step * len(order), 1), bars, drawn, leaves


def _map(metacells: AnnData, table: pd.DataFrame, mask: NDArray[np.bool_]) -> list[Any]:
    """Circles of the metacells on the UMAP, large ones first; none without a UMAP."""
    if _keys.UMAP not in metacells.obsm:
        return []
    xy = np.asarray(metacells.obsm[_keys.UMAP], dtype=np.float64)
    low, width = xy.min(axis=0), max(float(np.ptp(xy, axis=0).max()), 1e-9)
    at = (xy - low) / width * MAP_SIZE
    n_cells = metacells.obs["n_cells"].to_numpy(dtype=float)
    radius = np.sqrt(n_cells / n_cells.sum() * MAP_AREA / np.pi) * MAP_SIZE
    lines = table.iloc[: metacells.n_obs]
    return [
        (
            round(float(at[i, 0]), 1),
            round(float(MAP_SIZE - at[i, 1]), 1),
            round(float(np.clip(radius[i], 2, 24)), 1),
            _shade(lines["logfoldchanges"].iloc[i]),
            bool(mask[i]),
            _title(lines["group"].iloc[i], lines["logfoldchanges"].iloc[i]),
        )
        for i in np.argsort(-n_cells, kind="stable")
    ]
