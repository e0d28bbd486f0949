from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import scproto
from scproto._errors import InputError


def axes():
    return Figure().subplots()


def tops(ax, n_metacells: int) -> np.ndarray:
    """Top of each batch's layer at the middle of each metacell, ``(n_batches, n_metacells)``."""
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


@pytest.mark.parametrize("sizes", [[7], [3, 3, 3], [1, 1000]], ids=["one", "all the same", "far apart"])
def test_histogram_of_unusual_sizes(sizes: list[int]) -> None:
    ax = scproto.pl.metacell_sizes(AnnData(obs=pd.DataFrame({"n_cells": sizes}).rename(str)), ax=axes())
    assert sum(bar.get_height() for bar in ax.patches) == len(sizes)


def test_bars_are_the_shares_in_label_order(metacells: AnnData) -> None:
    ax = scproto.pl.batch_shares(metacells, ax=axes())
    # "type 0" has three metacells and comes first; they are sorted from the first batch to the second.
    np.testing.assert_allclose(tops(ax, 4), [[0.5, 0.25, 0.1, 0.9], [1, 1, 1, 1]])
    assert [text.get_text() for text in ax.texts] == ["all cells", "type 0", "type 1"]


def test_the_bar_of_all_cells_weights_metacells_by_their_cells(metacells: AnnData) -> None:
    ax = scproto.pl.batch_shares(metacells, ax=axes())
    expected = (10 * 0.9 + 20 * 0.5 + 30 * 0.1 + 40 * 0.25) / 100
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [1, expected])


def test_one_metacell_of_one_batch_without_a_label() -> None:
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


def labelled(labels: list[str], first: list[float]) -> AnnData:
    """Metacells of two batches, with a label each and the given shares of the first batch."""
    shares = {"share_a": first, "share_b": 1 - np.array(first)}
    obs = pd.DataFrame({"n_cells": 1, **shares, "label": pd.Categorical(labels), "label_share": 1.0})
    return AnnData(obs=obs.rename(str))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0.01, 0.99)), min_size=1, max_size=40))
def test_metacells_of_one_label_stand_together_and_the_most_frequent_label_first(
    drawn: list[tuple[str, float]],
) -> None:
    labels, first = [d[0] for d in drawn], [d[1] for d in drawn]
    ax = scproto.pl.batch_shares(labelled(labels, first), ax=axes())
    sizes = [labels.count(text.get_text()) for text in ax.texts[1:]]
    assert sizes == sorted(sizes, reverse=True)
    expected = [sorted((f for n, f in drawn if n == text.get_text()), reverse=True) for text in ax.texts[1:]]
    np.testing.assert_allclose(tops(ax, len(drawn))[0], np.concatenate(expected))


@pytest.mark.parametrize("n_rare", [0, 1, 30])
def test_names_of_rare_labels_do_not_overlap(n_rare: int) -> None:
    labels = ["common"] * 300 + [f"rare {i}" for i in range(n_rare)]
    ax = scproto.pl.batch_shares(labelled(labels, [0.5] * len(labels)), ax=axes())
    places = [text.get_position()[0] for text in ax.texts]
    assert (np.diff(places) >= len(labels) / 36 - 1e-9).all()
    assert places[-1] <= len(labels)


def test_errors_name_the_bad_input(metacells: AnnData) -> None:
    with pytest.raises(InputError, match="No metacell has a cell"):
        scproto.pl.metacell_sizes(metacells[-1:])
    with pytest.raises(InputError, match=r"take the metacells from model\.get_metacells"):
        scproto.pl.batch_shares(AnnData(obs=metacells.obs[["n_cells"]]))
