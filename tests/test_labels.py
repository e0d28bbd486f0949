"""Labels of any type as text, with missing values."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from scproto._labels import as_names, as_storable, as_text

DAY, NEXT = pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03")
COLUMNS = {
    "object with None": (pd.Series(["T", None, "B"], dtype=object), ["T", None, "B"]),
    "object with NaN": (pd.Series(["T", np.nan, "B"], dtype=object), ["T", None, "B"]),
    "object with NA": (pd.Series(["T", pd.NA, "B"], dtype=object), ["T", None, "B"]),
    "text nan is a label": (pd.Series(["nan", None, "None"], dtype=object), ["nan", None, "None"]),
    "nullable string": (pd.Series(["T", None, "B"], dtype="string"), ["T", None, "B"]),
    "inferred string": (pd.Series(["T", None, ""]), ["T", None, ""]),
    "categorical": (pd.Series(pd.Categorical(["T", None, "B"], categories=["T", "B", "unused"])), ["T", None, "B"]),
    "all missing": (pd.Series([None, None, None], dtype=object), [None] * 3),
    "all NaN": (pd.Series([np.nan] * 3), [None] * 3),
    "ints": (pd.Series([10, 9, 10]), ["10", "9", "10"]),
    "Int64": (pd.Series([10, None, 9], dtype="Int64"), ["10", None, "9"]),
    "floats": (pd.Series([0.5, np.nan, 2]), ["0.5", None, "2.0"]),
    "bools": (pd.Series([True, False, True]), ["True", "False", "True"]),
    "boolean": (pd.Series([True, None, False], dtype="boolean"), ["True", None, "False"]),
    "bools with None": (pd.Series([True, None, False], dtype=object), ["True", None, "False"]),
    "dates": (pd.Series([NEXT, pd.NaT, DAY]), ["2020-01-03", None, "2020-01-02"]),
    "dates of Python": (pd.Series([datetime.date(2020, 1, 2), None], dtype=object), ["2020-01-02", None]),
    "mixed": (pd.Series([1, "a", None, "1"], dtype=object), ["1", "a", None, "1"]),
    "intervals": (pd.cut(pd.Series([0.5, np.nan, 1.5]), [0, 1, 2]), ["(0, 1]", None, "(1, 2]"]),
}


@pytest.mark.parametrize(("values", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_labels_of_any_type_become_text(values, expected):
    assert as_names(values) == expected
    labels = as_text(values)
    assert labels.categories.dtype == object
    assert all(type(name) is str for name in labels.categories)
    assert set(labels.categories) == {name for name in expected if name is not None}


@pytest.mark.parametrize(("values", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_storable_labels_have_the_same_text(values, expected):
    stored = as_storable(values)
    assert as_names(stored) == expected
    assert stored.categories.dtype.kind in "Oibuf"
    if stored.categories.dtype == object:
        assert all(type(name) is str for name in stored.categories)


def test_storable_numbers_and_bools_keep_their_types():
    assert as_storable(pd.Series([10, 9], dtype="int32")).categories.dtype == "int32"
    assert as_storable(pd.Series([10, None], dtype="Int64")).categories.tolist() == [10]
    assert as_storable(pd.Series([True, None], dtype=object)).categories.dtype == bool


def test_categories_keep_their_order_and_others_are_sorted():
    assert as_text(pd.Series([10, 9])).categories.tolist() == ["9", "10"]
    assert as_text(["b", "a"]).categories.tolist() == ["a", "b"]
    ordered = pd.Categorical(["late", "early"], categories=["early", "late"], ordered=True)
    assert as_text(ordered).categories.tolist() == ["early", "late"]
    assert as_text(ordered).ordered
    assert as_storable(ordered).ordered
