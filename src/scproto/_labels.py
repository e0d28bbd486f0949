"""Label columns of any type, as text or as types that a file can hold; missing values stay missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

NUMBERS = ("boolean", "integer", "floating")  # as pandas infers them
NO_VALUE = "no value"
"""Name of items without a label in figures."""


def as_text(values: ArrayLike | pd.Series[Any] | pd.Categorical) -> pd.Categorical:
    """Convert labels to categories of text.

    Parameters
    ----------
    values
        Labels, ``(n_items,)``: text, numbers, bools, dates or categories, of any pandas type. None, NaN, NaT and
        ``pd.NA`` are missing; the text "nan" is a label.

    Returns
    -------
    labels : pandas.Categorical
        The categories are Python strings and all of them occur. Categories of a categorical keep their order, others
        are sorted. Labels with the same text become one. The code of a missing label is -1.
    """
    given = _occurring(values)
    categories = given.categories
    if isinstance(categories, pd.DatetimeIndex):
        categories = categories.astype(str)  # omits the time if all are midnight
    names = [str(name) for name in categories]
    unique = list(dict.fromkeys(names))
    if len(unique) == len(names):
        return _categorical(given.codes, unique, ordered=given.ordered)
    place = {name: i for i, name in enumerate(unique)}
    return _categorical(np.array([*(place[name] for name in names), -1])[given.codes], unique)


def as_names(values: ArrayLike | pd.Series[Any] | pd.Categorical) -> list[str | None]:
    """Text of each label as in :func:`as_text`; None for a missing label."""
    labels = as_text(values)
    return [None if code < 0 else labels.categories[code] for code in labels.codes]


def as_storable(values: ArrayLike | pd.Series[Any] | pd.Categorical) -> pd.Categorical:
    """Labels as categories that any file can hold: numbers and bools as they are, others as in :func:`as_text`."""
    given = _occurring(values)
    if pd.api.types.infer_dtype(given.categories, skipna=False) not in NUMBERS:
        return as_text(given)
    plain = np.array(given.categories.tolist())
    if isinstance(given.categories.dtype, np.dtype) and given.categories.dtype != object:
        plain = plain.astype(given.categories.dtype)
    return pd.Categorical.from_codes(given.codes, pd.Index(plain), ordered=given.ordered)


def _occurring(values: ArrayLike | pd.Series[Any] | pd.Categorical) -> pd.Categorical:
    return pd.Categorical(values).remove_unused_categories()  # type: ignore[arg-type]


def _categorical(codes: Any, names: list[str], *, ordered: bool | None = False) -> pd.Categorical:
    """Categories of Python strings, because older readers of files do not know the string type of pandas 3."""
    return pd.Categorical.from_codes(codes, pd.Index(names, dtype=object), ordered=bool(ordered))
