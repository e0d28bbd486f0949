"""Change AnnData so that every reader of its files knows it: mend what is legal only in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, MutableMapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

RESERVED = "_index"
"""Name that anndata reserves in tables."""


class Renamed(NamedTuple):
    """A part of AnnData that got a new name, or lost its name."""

    where: str
    old: Any
    new: str | None

    def __str__(self) -> str:
        if self.new is None:
            return f"The {self.where} loses its name {self.old!r}, because a column has the same name."
        return f"{self.old!r} of {self.where} is renamed to {self.new!r}, because a file cannot hold the old name."


def make_storable(adata: AnnData, written: Collection[str] = ()) -> list[Renamed]:
    """Mend in place what anndata reads but does not write, or writes in a way that only newer readers know.

    - Names with a slash, which a file takes for a folder, are renamed.
    - In tables, a column ``_index`` and columns of the same name are renamed; an index named like a column loses its
      name.
    - The string types of pandas become plain strings, or categories if some values are missing.

    Parameters
    ----------
    adata
        Cells or metacells, changed in place.
    written
        Columns that are going to be written into ``obs`` and ``var``; no index may have their names either.

    Returns
    -------
    renamed : list of Renamed
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
    """Yield all tables of the object, with their names."""
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
    """Visit all values of nested mappings, and replace a value by what `change` returns, unless that is None."""
    for key, value in list(mapping.items()):
        if isinstance(value, MutableMapping):
            _walk(value, change)
        elif (changed := change(value)) is not None:
            mapping[key] = changed


def _mend_keys(mapping: MutableMapping[str, Any], where: str, renamed: list[Renamed]) -> None:
    """Rename keys that have a slash or are not text."""
    for key in [key for key in mapping if key is not None]:
        new = _writable(key, mapping)
        if new != key:
            mapping[new] = mapping.pop(key)
            renamed.append(Renamed(where, key, new))
        if isinstance(mapping[new], MutableMapping):
            _mend_keys(mapping[new], f"{where}[{new!r}]", renamed)


def _writable(key: Any, taken: Collection[Any]) -> str:
    """Return a name that a file can hold: the key itself if possible, otherwise a free name."""
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
    """Convert the strings in columns, categories and index to plain ones."""
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
    """Return a plain array in place of an array or a series of pandas' strings; None for values that may stay."""
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, pd.StringDtype) and not isinstance(value, pd.DataFrame):
        return np.asarray(pd.Series(value).fillna(""), dtype=object)
    return None
