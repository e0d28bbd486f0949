"""AnnData as every reader of its files knows it: what is legal in memory but not in a file is mended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, MutableMapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

RESERVED = "_index"
"""Name that anndata keeps for itself in tables."""


class Renamed(NamedTuple):
    """Something that got another name, or lost its own."""

    where: str
    old: Any
    new: str | None

    def __str__(self) -> str:
        if self.new is None:
            return f"The {self.where} loses its name {self.old!r}, which is that of a column."
        return f"{self.old!r} of {self.where} is renamed to {self.new!r}: a file cannot hold that name."


def make_storable(adata: AnnData, written: Collection[str] = ()) -> list[Renamed]:
    """Mend in place what anndata reads but does not write, or writes in a way that only newer readers know.

    These are names with a slash, which a file takes for a folder; tables with a column ``_index``, columns of the same
    name, or an index that is named like a column; and pandas' own types of strings, which become plain ones, or
    categories where some are missing.

    Parameters
    ----------
    adata
        Cells or metacells. Changed in place.
    written
        Columns that are going to be written into ``obs`` and ``var``, after which no index can be named either.

    Returns
    -------
    What was renamed.
    """
    renamed: list[Renamed] = []
    for name in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
        _mend_keys(getattr(adata, name), f"adata.{name}", renamed)
    for where, frame in _tables(adata):
        _mend_columns(frame, where, written, renamed)
    adata.strings_to_categoricals()  # as anndata does before it writes
    if adata.raw is not None:
        adata.strings_to_categoricals(adata.raw.var)
    for _, frame in _tables(adata):
        _mend_strings(frame)
    _walk(adata.uns, _plain_array)
    return renamed


def _tables(adata: AnnData) -> Iterator[tuple[str, pd.DataFrame]]:
    """All tables of the object, with their names."""
    yield "adata.obs", adata.obs
    yield "adata.var", adata.var
    if adata.raw is not None:
        yield "adata.raw.var", adata.raw.var
    for name in ("obsm", "varm"):
        for key, value in getattr(adata, name).items():
            if isinstance(value, pd.DataFrame):
                yield f"adata.{name}[{key!r}]", value
    found: list[pd.DataFrame] = []
    _walk(adata.uns, lambda value: found.append(value) if isinstance(value, pd.DataFrame) else None)
    for frame in found:
        yield "a table of adata.uns", frame


def _walk(mapping: MutableMapping[str, Any], change: Callable[[Any], Any]) -> None:
    """Visit all values of nested mappings; what `change` returns, if anything, takes the place of the value."""
    for key, value in list(mapping.items()):
        if isinstance(value, MutableMapping):
            _walk(value, change)
        elif (changed := change(value)) is not None:
            mapping[key] = changed


def _mend_keys(mapping: MutableMapping[str, Any], where: str, renamed: list[Renamed]) -> None:
    """Give keys with a slash, and those that are no text, another name."""
    for key in [key for key in mapping if key is not None]:
        new = _writable(key, mapping)
        if new != key:
            mapping[new] = mapping.pop(key)
            renamed.append(Renamed(where, key, new))
        if isinstance(mapping[new], MutableMapping):
            _mend_keys(mapping[new], f"{where}[{new!r}]", renamed)


def _writable(key: Any, taken: Collection[Any]) -> str:
    """A name that a file can hold: the key itself where it can, else one that is free."""
    name = str(key).replace("/", "|")
    if isinstance(key, str) and name == key != RESERVED:
        return name
    while name in taken or name == RESERVED:
        name += "_"
    return name


def _mend_columns(frame: pd.DataFrame, where: str, written: Collection[str], renamed: list[Renamed]) -> None:
    names: list[Any] = []
    for name in frame.columns:
        new = _writable(name, [*names, *frame.columns])
        while new in names:  # a second column of this name
            new += "_"
        if new != name:
            renamed.append(Renamed(where, name, new))
        names.append(new)
    if names != list(frame.columns):
        frame.columns = pd.Index(names, dtype=object)
    if frame.index.name is not None and frame.index.name in (RESERVED, *names, *written):
        renamed.append(Renamed(f"index of {where}", frame.index.name, None))
        frame.index.name = None


def _mend_strings(frame: pd.DataFrame) -> None:
    """Plain strings in the columns, the categories and the index."""
    for place, dtype in enumerate(frame.dtypes):
        column = frame.iloc[:, place]
        if isinstance(dtype, pd.CategoricalDtype) and isinstance(dtype.categories.dtype, pd.StringDtype):
            plain = column.cat.rename_categories(dtype.categories.astype(object))
        elif isinstance(dtype, pd.StringDtype):
            plain = column.astype(object)
            if column.isna().any():
                plain = plain.where(column.notna(), None).astype("category")
                plain = plain.cat.rename_categories(plain.cat.categories.astype(object))
        else:
            continue
        frame.isetitem(place, plain)
    if isinstance(frame.index.dtype, pd.StringDtype):
        frame.index = frame.index.astype(object)
    if isinstance(frame.columns.dtype, pd.StringDtype):
        frame.columns = frame.columns.astype(object)


def _plain_array(value: Any) -> Any:
    """A plain array in place of pandas' strings, a list as one; None for what may stay."""
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, pd.StringDtype) and not isinstance(value, pd.DataFrame):
        return np.asarray(pd.Series(value).fillna(""), dtype=object)
    return None
