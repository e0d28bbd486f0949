"""Check the input before any long work. One clear sentence says what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._arguments import is_whole
from .._errors import InputError
from .counts import Counts, layers_of, read_counts

CELLS_PER_PROTOTYPE = 75
"""Cells per prototype for ``n_prototypes="auto"``, as recommended for SEACells."""

MAX_PROTOTYPES = 1000
"""Maximum number of prototypes that ``n_prototypes="auto"`` chooses."""


def as_keys(batch_key: str | Sequence[str] | None) -> list[str]:
    """Return one key, several or none as a list, without repetitions."""
    if batch_key is None:
        return []
    return [batch_key] if isinstance(batch_key, str) else list(dict.fromkeys(batch_key))


def join_batches(obs: pd.DataFrame, batch_key: str | Sequence[str] | None) -> pd.Categorical:
    """Combine the batch columns into one batch per cell.

    Parameters
    ----------
    obs
        Table of the cells, such as ``adata.obs``, ``(n_cells, n_columns)``.
    batch_key
        Columns to combine. Each combination of values that occurs is a batch; its name is the values joined by ``|``.
        A single column keeps its own values, as text. Without a column, all cells form one batch, ``all``.

    Returns
    -------
    batch : pandas.Categorical
        Batch of each cell, ``(n_cells,)``.

    Raises
    ------
    InputError
        If two combinations of values would get the same name.
    """
    keys = as_keys(batch_key)
    if not keys:
        return pd.Categorical(["all"] * len(obs))
    values = obs[keys].astype(str)
    joined = values[keys[0]].str.cat([values[key] for key in keys[1:]], sep="|")
    if joined.nunique() < len(values.drop_duplicates()):
        raise InputError(
            f"The values of {_names(keys)} contain '|', so joining them by '|' is ambiguous: rename these values."
        )
    return pd.Categorical(joined)


def check_adata(
    adata: AnnData,
    *,
    batch_key: str | Sequence[str] | None,
    layer: str | None,
    label_keys: str | Sequence[str] = (),
    n_prototypes: int | Literal["auto"] = "auto",
    rounding: int | None = None,
) -> Counts:
    """Check everything that a fit needs from its input, cheap checks first, and read the counts.

    Parameters
    ----------
    adata
        Cells and genes, which stay unchanged.
    batch_key
        Columns of ``obs`` whose combinations are the batches; none for a single batch.
    layer
        Layer that holds the counts; None for ``X``.
    label_keys
        Columns of ``obs`` that describe the metacells. They may have missing values.
    n_prototypes
        Requested number of prototypes.
    rounding
        Seed for rounding fractional counts; None to refuse them.

    Returns
    -------
    counts : Counts
        The counts in canonical form.

    Raises
    ------
    InputError
        If the input does not fit. One sentence says what is wrong, where, and how to mend it.
    """
    if adata.n_obs < 2 or adata.n_vars < 1:
        raise InputError(
            f"adata has {adata.n_obs} cells and {adata.n_vars} genes: give at least two cells and one gene."
        )
    _check_names(adata)
    keys = as_keys(batch_key)
    if ours := [key for key in keys if key in _keys.WRITTEN_OBS]:
        raise InputError(
            f"scproto writes adata.obs[{ours[0]!r}] itself, so it cannot be the batch key: rename your column."
        )
    for what, names in (("batch key", keys), ("label key", as_keys(label_keys))):
        for name in names:
            _check_exists(what, name, adata.obs.columns, "adata.obs")
            if isinstance(adata.obs[name], pd.DataFrame):
                raise InputError(f"adata.obs has several columns {name!r}: rename all but one of them.")
    if layer is not None:
        _check_exists("layer", layer, layers_of(adata), "adata.layers")
    _check_batches(adata.obs, keys)
    choose_n_prototypes(n_prototypes, adata.n_obs)
    counts = read_counts(adata, layer, rounding=rounding)
    _check_cells(adata, counts, layer)
    return counts


def _names(values: Iterable[Any], limit: int = 10) -> str:
    """List the values for a message, at most `limit` of them."""
    names = [repr(str(value)) for value in values]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "") or "none"


def _check_exists(what: str, name: str, existing: Iterable[str], where: str) -> None:
    names = [str(value) for value in existing]
    if name in names:
        return
    by_lower = {value.lower(): value for value in names}
    near = get_close_matches(name.lower(), by_lower, n=1)
    mend = f"did you mean {by_lower[near[0]]!r}?" if near else "choose one of these." if names else "leave it out."
    raise InputError(f"There is no {what} {name!r} in {where}, which has {_names(names)}: {mend}")


def _check_names(adata: AnnData) -> None:
    for kind, names in (("obs", adata.obs_names), ("var", adata.var_names)):
        if not names.is_unique:
            first = names[names.duplicated()][0]
            raise InputError(
                f"adata.{kind}_names has duplicates (such as {first!r}): call adata.{kind}_names_make_unique()."
            )


def _check_batches(obs: pd.DataFrame, keys: Sequence[str]) -> None:
    for key in keys:
        if n_missing := int(obs[key].isna().sum()):
            raise InputError(
                f"adata.obs[{key!r}] has no value for {n_missing} cell(s): fill it in, "
                f"or drop these cells with adata[adata.obs[{key!r}].notna()].copy()."
            )
    sizes = pd.Series(join_batches(obs, keys)).value_counts()
    if single := sorted(sizes.index[sizes == 1]):
        raise InputError(
            f"A batch needs at least two cells, but adata.obs has only one for {_names(single)} (batch key "
            f"{_names(keys)}): drop such cells, or assign them to another batch."
        )


def choose_n_prototypes(n_prototypes: int | Literal["auto"], n_cells: int) -> int:
    """Choose the number of prototypes.

    Parameters
    ----------
    n_prototypes
        Requested number; ``"auto"`` for one per 75 cells, but at least 10 and at most 1,000.
    n_cells
        Number of cells.

    Returns
    -------
    n_prototypes : int
        Number of prototypes, at most `n_cells`.

    Raises
    ------
    InputError
        If `n_prototypes` is not a whole number from 1 to `n_cells`.
    """
    if n_prototypes == "auto":
        return int(np.clip(round(n_cells / CELLS_PER_PROTOTYPE), min(10, n_cells), MAX_PROTOTYPES))
    if not is_whole(n_prototypes, 1, n_cells):
        raise InputError(
            f"n_prototypes={n_prototypes!r} does not suit {n_cells} cells: give a whole number from 1 to {n_cells}, "
            'or "auto".'
        )
    return int(n_prototypes)


def _check_cells(adata: AnnData, counts: Counts, layer: str | None) -> None:
    """Check that every cell has counts and that at least one gene varies between the cells."""
    where = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    empty = np.flatnonzero(counts.values.cell_totals == 0)
    if empty.size:
        mend = (
            "sc.pp.filter_cells(adata, min_counts=1)"
            if layer is None
            else f'adata[np.ravel(adata.layers["{layer}"].sum(axis=1)) > 0].copy()'
        )
        raise InputError(
            f"{empty.size} cell(s) of {where} have no counts (the first is {adata.obs_names[empty[0]]!r}): "
            f"remove them with {mend}."
        )
    if not counts.values.varies:
        raise InputError(f"Every gene of {where} has the same value in all cells: give cells that differ.")
