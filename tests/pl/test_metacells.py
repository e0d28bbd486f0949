from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import scproto
from scproto._errors import InputError
from scproto.pl.metacells import _order, _spread


def axes():
    return Figure().subplots()


def tops(ax, n_metacells: int) -> np.ndarray:
    """Height of each layer over the middle of each metacell, ``(n_batches, n_metacells)``, the first batch first."""
    middle = np.arange(n_metacells) + 0.5
    layers = [c.get_paths()[0].vertices for c in ax.collections if isinstance(c, PolyCollection)]
    heights = []
    for outline in layers[::-1]:
        upper = outline[outline[:, 1] > 0]
        heights.append([upper[upper[:, 0] <= x][-1, 1] if (upper[:, 0] <= x).any() else 0 for x in middle])
    return np.array(heights)


def test_histogram_counts_every_metacell_with_cells(metacells: AnnData) -> None:
    ax = scproto.pl.metacell_sizes(metacells, ax=axes())
    assert sum(bar.get_height() for bar in ax.patches) == 4
    assert ax.get_title(loc="left").startswith("4 metacells, 1 more without cells, size CV 0.45")
    assert "median 25" in [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("sizes", [[7], [3, 3, 3], [1, 1000]], ids=["one", "all alike", "far apart"])
def test_histogram_of_unusual_sizes(sizes: list[int]) -> None:
    ax = scproto.pl.metacell_sizes(AnnData(obs=pd.DataFrame({"n_cells": sizes}).rename(str)), ax=axes())
    assert sum(bar.get_height() for bar in ax.patches) == len(sizes)


def test_bars_are_the_shares_in_label_order(metacells: AnnData) -> None:
    ax = scproto.pl.batch_shares(metacells, ax=axes())
    # "type 0" has three metacells and comes first; within it from the first batch to the second.
    np.testing.assert_allclose(tops(ax, 4), [[0.5, 0.25, 0.1, 0.9], [1, 1, 1, 1]])
    assert [text.get_text() for text in ax.texts] == ["all cells", "type 0", "type 1"]


def test_bar_of_all_cells_weighs_metacells_by_their_cells(metacells: AnnData) -> None:
    ax = scproto.pl.batch_shares(metacells, ax=axes())
    expected = (10 * 0.9 + 20 * 0.5 + 30 * 0.1 + 40 * 0.25) / 100
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [1, expected])


def test_one_batch_one_metacell_no_label() -> None:
    one = AnnData(obs=pd.DataFrame({"n_cells": [5], "share_all": [1.0]}, index=["metacell_0"]))
    ax = scproto.pl.batch_shares(one, ax=axes())
    np.testing.assert_allclose(tops(ax, 1), [[1]])
    assert [text.get_text() for text in ax.texts] == ["all cells"]


def test_beyond_thirty_batches_the_smallest_are_added_up() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(40), size=6)
    obs = pd.DataFrame(shares, columns=[f"share_{i}" for i in range(40)]).rename(str).assign(n_cells=10)
    ax = scproto.pl.batch_shares(AnnData(obs=obs), ax=axes())
    assert len(ax.get_legend().get_texts()) == 30
    np.testing.assert_allclose(tops(ax, 6)[-1], 1)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1)), min_size=1, max_size=40))
def test_order_keeps_labels_together_and_the_largest_first(drawn: list[tuple[str, float]]) -> None:
    labels, first = np.array([d[0] for d in drawn]), np.array([d[1] for d in drawn])
    order, groups = _order(np.column_stack([first, 1 - first]), labels)
    assert sorted(order) == list(range(len(drawn)))
    sizes = [end - start for _, start, end in groups]
    assert sizes == sorted(sizes, reverse=True)
    for name, start, end in groups:
        assert set(labels[order[start:end]]) == {name}
        assert (np.diff(first[order[start:end]]) <= 1e-12).all()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_names_are_kept_apart(places: list[float]) -> None:
    spread = _spread(np.sort(places), gap=3, limit=100)
    assert (np.diff(spread) >= 3 - 1e-9).all()
    assert spread[-1] <= 100


def test_bad_input_is_named(metacells: AnnData) -> None:
    with pytest.raises(InputError, match="No metacell has a cell"):
        scproto.pl.metacell_sizes(metacells[-1:])
    with pytest.raises(InputError, match=r"take the metacells from model\.get_metacells"):
        scproto.pl.batch_shares(AnnData(obs=metacells.obs[["n_cells"]]))
