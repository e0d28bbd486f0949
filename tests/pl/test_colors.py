from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from anndata import AnnData

import scproto
from scproto.pl.colors import group

Make = Callable[..., AnnData]


def test_thirty_categories_have_thirty_colours(make_cells: Make) -> None:
    groups = group(make_cells(120, n_types=30).obs["cell_type"])
    assert len(set(groups.colors)) == len(groups.names) == 30


def test_beyond_thirty_categories_the_smallest_share_one_grey(make_cells: Make) -> None:
    values = make_cells(165, n_types=33).obs["cell_type"].iloc[:-1]  # "type 32" is the smallest
    groups = group(values)
    assert len(groups.names) == len(set(groups.colors)) == 30
    assert groups.names[-1] == "4 others"
    named = np.array(groups.names)[groups.codes]
    kept = named != "4 others"
    assert (named[kept] == values[kept]).all()
    assert set(named[values == "type 32"]) == {"4 others"}


def test_a_palette_of_many_categories_names_29(make_cells: Make) -> None:
    assert len(scproto.pl.palette(make_cells(600, n_types=300).obs["cell_type"])) == 29
    assert scproto.pl.palette(pd.Series([np.nan, np.nan])) == {}
