"""The table of metacells, as text for reading and as values for sorting and export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .._keys import AXES, LATENT, METACELL, free_name, label_column, share_of
from .._labels import as_names
from .encode import numbers

SHOWN_GENES = 3
SHOWN_GENES_OF_AXIS = 8


@dataclass(frozen=True)
class Column:
    """A column: ``values`` are numbers or text, ``shown`` is their text on the page, ``key`` the name in an export."""

    key: str
    title: str
    values: list[Any]
    shown: list[str]
    numeric: bool


@dataclass(frozen=True)
class Table:
    """Columns with the metacells in their original order; the page shows the rows in the order of ``first``."""

    columns: list[Column]
    first: list[int]

    def to_json(self) -> dict[str, Any]:
        """Keys, values and types of the columns."""
        return {
            "keys": [column.key for column in self.columns],
            "values": [column.values for column in self.columns],
            "numeric": [column.numeric for column in self.columns],
        }


def tabulate(
    metacells: AnnData, label_key: str | None, doubts: Mapping[str, Sequence[str]], genes: Sequence[Sequence[str]]
) -> Table:
    """List the metacells, largest first.

    Parameters
    ----------
    metacells
        Metacells from ``model.get_metacells``.
    label_key
        Label of the cells whose majority is listed, or None.
    doubts
        Reasons for doubt by name of the metacell.
    genes
        Top genes of each metacell, the strongest first.

    Returns
    -------
    table : Table
        Columns, and the order of the rows.
    """
    obs = metacells.obs
    formats = {
        "n_cells": ("Cells", "{:,.0f}", 0),
        "n_counts": ("Counts", "{:,.0f}", 0),
        "batch_entropy": ("Batch entropy", "{:.2f}", 4),
        "confidence": ("Confidence", "{:.2f}", 4),
        "stability": ("Stability", "{:.2f}", 4),
    }
    name = [str(value) for value in obs.index]
    columns = [_text(METACELL, "Metacell", name)]
    if label_key is not None and (label := label_column(metacells, label_key)) is not None:
        key = free_name(label, {METACELL, "doubts", "top_genes"}, "_label")
        columns.append(_text(key, str(label_key), ["" if x is None else x for x in as_names(obs[label])]))
        columns.append(_numbers(obs[share_of(label)], share_of(key), "Share", "{:.0%}", 4))
    columns += [_numbers(obs[key], key, *form) for key, form in formats.items() if key in obs]
    columns.append(_text("doubts", "Doubts", [", ".join(doubts.get(value, ())) for value in name]))
    columns.append(_text("top_genes", "Top genes", [" ".join(top[:SHOWN_GENES]) for top in genes]))
    return Table(columns, np.argsort(-obs["n_cells"].to_numpy(), kind="stable").tolist())


def _text(key: str, title: str, values: list[str]) -> Column:
    return Column(key, title, values, values, numeric=False)


def _numbers(values: pd.Series[Any], key: str, title: str, form: str, digits: int) -> Column:
    rounded = numbers(values, digits)
    return Column(key, title, rounded, ["" if value is None else form.format(value) for value in rounded], numeric=True)


@dataclass(frozen=True)
class Axis:
    """An axis of the embedding in words: its number, share of the variance, and the genes of both ends."""

    number: int
    share: str
    high: str
    low: str


def axes_in_words(adata: AnnData) -> list[Axis]:
    """Describe each axis by its genes; nothing for cells of earlier versions, which have no axes."""
    if AXES not in adata.varm or LATENT not in adata.obsm:
        return []
    from ..tl.axes import rank_axis_genes

    table = rank_axis_genes(adata, SHOWN_GENES_OF_AXIS).astype({"group": object})
    genes = table.groupby("group")["names"].agg(", ".join)
    return [
        Axis(int(number), f"{share:.1%}", genes.get(f"axis_{number}_high", ""), genes.get(f"axis_{number}_low", ""))
        for number, share in table.groupby("axis")["share"].first().items()
    ]
