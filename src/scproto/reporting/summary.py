"""What the report says in words and tables: plain values for the template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._keys import BATCH, METACELL, UNS
from ..metrics.metacells import metacell_scores
from ..pl.metacells import shares_by_batch, with_cells

MAX_ROWS = 200


@dataclass(frozen=True)
class Summary:
    """Plain values: one sentence, those that follow it, those on how good the fit is, and (value, name, meaning)."""

    headline: str
    details: list[str]
    verdict: list[str]
    tiles: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Table:
    """Rows of the metacell table; ``shares`` are (batch, share in percent, colour) of each row."""

    columns: list[str]
    rows: list[list[str]]
    shares: list[list[tuple[str, float, str]]]
    note: str


def summarise(adata: AnnData, label_key: str | None) -> Summary:
    """Describe cells, batches, metacells and how they mix."""
    assignment, batches = adata.obs[METACELL], adata.obs[BATCH]
    scores = metacell_scores(assignment.astype(str), batches=batches.astype(str))
    n_batches, n_metacells = batches.nunique(), int(scores["n_metacells"])
    several = n_batches > 1
    source = f"from {n_batches} batches" if several else "from one batch"
    headline = f"{adata.n_obs:,} cells {source} in {_count(n_metacells, 'metacell')}."
    tiles = [
        (f"{adata.n_obs:,}", "cells", ""),
        (str(n_batches), "batches" if several else "batch", ""),
        (f"{n_metacells:,}", "metacells", f"{adata.n_obs / n_metacells:.0f} cells each on average"),
    ]
    details = []
    if several:
        entropy = scores["batch_entropy"]
        details.append(
            f"The batches are {mixing(entropy)}: the mean batch entropy of a metacell is {entropy:.2f}. It is 0 if "
            "each metacell holds cells of one batch only, and 1 if all batches are alike in each. It stays below 1 "
            "where the batches hold different cell types."
        )
        tiles.append((f"{entropy:.2f}", "mean batch entropy", "0: apart, 1: fully mixed"))
    if label_key is not None:
        labelled = adata.obs[label_key].notna()
        if labelled.any():
            known = adata.obs.loc[labelled, [METACELL, label_key]].astype(str)
            by_label = metacell_scores(known[METACELL], known[label_key])
            details.append(_purity(by_label, label_key, n_unlabelled=int((~labelled).sum())))
            tiles.append((f"{by_label['purity']:.2f}", "purity", f"by {label_key}"))
    verdict = adata.uns.get(UNS, {}).get("verdict", {}).get("sentences", [])
    return Summary(headline, details, list(verdict), tiles)


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def mixing(entropy: float) -> str:
    """Say in words what a mean batch entropy means."""
    if entropy >= 0.8:
        return "well mixed"
    return "partly mixed" if entropy >= 0.5 else "mostly apart"


def _purity(scores: Mapping[str, float], label_key: str, n_unlabelled: int) -> str:
    text = (
        f"{scores['purity']:.1%} of the cells carry the majority label of their metacell ({label_key}; purity "
        f"{scores['purity']:.2f}, averaged over labels {scores['balanced_purity']:.2f}), and {scores['coverage']:.1%} "
        "of the labels are the majority of some metacell."
    )
    return text + (f" {_count(n_unlabelled, 'cell')} without a label left out." if n_unlabelled else "")


def tabulate(metacells: AnnData, label_key: str | None) -> Table:
    """List the metacells, largest first, at most 200."""
    obs = with_cells(metacells)
    shown = obs.sort_values("n_cells", ascending=False, kind="stable").head(MAX_ROWS)
    formats = {
        "n_cells": ("Cells", "{:,.0f}"),
        "n_counts": ("Counts", "{:,.0f}"),
        "batch_entropy": ("Batch entropy", "{:.2f}"),
        "confidence": ("Confidence", "{:.2f}"),
        str(label_key): (str(label_key), "{}"),
        f"{label_key}_share": ("Share", "{:.2f}"),
    }
    present = [column for column in formats if column in shown]
    cells = [[formats[column][1].format(value) for value in shown[column]] for column in present]
    rows = [[str(name), *values] for name, *values in zip(shown.index, *cells, strict=True)]
    note = f"The {MAX_ROWS} largest of {len(obs):,} metacells." if len(obs) > MAX_ROWS else ""
    empty = metacells.n_obs - len(obs)
    if empty:
        note = f"{note} {_count(empty, 'metacell')} without cells left out.".strip()
    columns = ["Metacell", *(formats[column][0] for column in present)]
    return Table(columns, rows, _bars(obs, obs.index.get_indexer(shown.index)), note)


def _bars(obs: pd.DataFrame, rows: np.ndarray) -> list[list[tuple[str, float, str]]]:
    shares, names, colors = shares_by_batch(obs)
    return [
        [(name, round(100 * share, 1), color) for name, share, color in zip(names, row, colors, strict=True) if share]
        for row in shares[rows]
    ]


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name, value) pairs as text, nested names joined by a dot."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple, set, np.ndarray)):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)
