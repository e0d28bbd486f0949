from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram, linkage

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.colors import MISSING, OTHER, PALETTE
from scproto.pl.tree import lay_out

Make = Callable[..., AnnData]
GENES = ["gene 3", "gene 0"]


def axes(width: float = 9, height: float = 5):
    return Figure(figsize=(width, height), layout="constrained").subplots()


def parts(ax, kind: type) -> list:
    return [artist for artist in ax.collections if type(artist) is kind]


def names(labels) -> list[str]:
    return [label.get_text() for label in labels]


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_layout_equals_that_of_scipy(n_leaves: int, seed: int) -> None:
    tree = linkage(np.random.default_rng(seed).normal(size=(n_leaves, 3)), "ward")
    order, corners = lay_out(tree)
    expected = dendrogram(tree, no_plot=True)
    assert order.tolist() == expected["leaves"]
    # SciPy puts leaves at 5, 15, 25, ... and lists the merges in another order.
    drawn = np.stack([np.array(expected["icoord"]) / 10, np.array(expected["dcoord"])], axis=-1)
    np.testing.assert_allclose(np.sort(corners, axis=0), np.sort(drawn, axis=0))


def test_a_chain_of_many_leaves_needs_no_recursion() -> None:
    n = 3000
    chain = np.column_stack([np.r_[0, n : 2 * n - 2], np.arange(1, n), np.arange(1.0, n), np.arange(2, n + 1)])
    order, corners = lay_out(chain)
    assert sorted(order) == list(range(n))
    assert corners[-1, 1, 1] == n - 1


def test_tree_expression_and_labels_have_the_same_order(make_metacells: Make) -> None:
    metacells = make_metacells(12)
    ax = scproto.pl.tree(metacells, GENES, color="cell_type", ax=axes())
    order = dendrogram(metacells.uns[_keys.TREE], no_plot=True)["leaves"]
    strip, heat = parts(ax, QuadMesh)
    decoded = np.log1p(metacells[:, GENES].layers["decoded"][order])
    np.testing.assert_allclose(heat.get_array(), ((decoded - decoded.mean(0)) / decoded.std(0)).T, rtol=1e-5)
    expected = [PALETTE[i % 2].lower() for i in order]
    assert [to_hex(c) for c in strip.get_array().reshape(-1, strip.get_array().shape[-1])] == expected
    assert names(ax.get_xticklabels()) == [f"metacell_{i}" for i in order]
    assert names(ax.get_yticklabels()) == [*GENES, "cell_type"]
    assert names(ax.get_legend().get_texts()) == ["type 0", "type 1"]
    assert ax.get_xlim() == (0, 12)


def test_heights_of_the_tree_are_the_ward_distances(make_metacells: Make) -> None:
    metacells = make_metacells(12)
    ax = scproto.pl.tree(metacells, GENES, ax=axes())
    (lines,) = parts(ax, LineCollection)
    bars = np.array([segment[1, 1] for segment in lines.get_segments()])
    bottom = max(segment[:, 1].max() for segment in lines.get_segments())
    heights = bottom - bars  # the axis points down
    np.testing.assert_allclose(
        heights / heights[-1], metacells.uns[_keys.TREE][:, 2] / metacells.uns[_keys.TREE][-1, 2]
    )
    assert bottom < 0 < heights[-1]  # above the genes
    low, high = sorted(ax.get_ylim())
    assert low <= bars.min()
    assert high == 2


def test_the_colour_scale_is_symmetric_and_cut_off(make_metacells: Make) -> None:
    metacells = make_metacells(50, 1)
    metacells.layers["decoded"][:] = 1
    metacells.layers["decoded"][7, 3] = 1000  # z-score 7
    ax = scproto.pl.tree(metacells, "gene 3", ax=axes())
    (heat,) = parts(ax, QuadMesh)
    assert heat.get_array().max() == pytest.approx(7)
    assert heat.get_clim() == (-2.5, 2.5)
    (bar,) = ax.child_axes
    assert bar.get_yticks().tolist() == [-2, 0, 2]


def test_the_tree_without_genes_and_labels(make_metacells: Make) -> None:
    ax = scproto.pl.tree(make_metacells(), ax=axes())
    assert [len(parts(ax, LineCollection)), len(parts(ax, QuadMesh))] == [1, 0]
    assert len(parts(ax, LineCollection)[0].get_segments()) == 5
    assert not ax.child_axes
    assert ax.get_legend() is None


def test_one_metacell_has_no_tree_and_no_colour_bar(make_metacells: Make) -> None:
    ax = scproto.pl.tree(make_metacells(1), GENES, color="cell_type", ax=axes())
    ax.figure.draw_without_rendering()
    assert parts(ax, LineCollection)[0].get_segments() == []
    assert parts(ax, QuadMesh)[1].get_array().tolist() == [[0], [0]]
    assert not ax.child_axes
    assert ax.get_title(loc="left") == "Tree of 1 metacell"


def test_a_gene_that_does_not_vary_is_zero(make_metacells: Make) -> None:
    metacells = make_metacells()
    metacells.layers["decoded"][:, 0] = 12.3
    heat = parts(scproto.pl.tree(metacells, GENES, ax=axes()), QuadMesh)[0].get_array()
    assert heat[1].tolist() == [0] * 6
    assert np.abs(heat[0]).max() > 1


def test_identical_metacells_have_a_flat_tree(make_metacells: Make) -> None:
    metacells = make_metacells(4)
    metacells.uns[_keys.TREE] = linkage(np.ones((4, 3)), "ward")
    segments = parts(scproto.pl.tree(metacells, ax=axes()), LineCollection)[0].get_segments()
    assert np.isfinite(segments).all()
    assert len({y for segment in segments for y in segment[:, 1]}) == 1


def test_metacells_without_a_label_are_grey(make_metacells: Make) -> None:
    metacells = make_metacells()
    metacells.obs["cell_type"] = None
    ax = scproto.pl.tree(metacells, color="cell_type", ax=axes())
    strip = parts(ax, QuadMesh)[0].get_array()
    assert {to_hex(c) for c in strip.reshape(-1, strip.shape[-1])} == {MISSING.lower()}
    assert names(ax.get_legend().get_texts()) == ["no value"]


def test_a_palette_colours_the_strip(make_metacells: Make) -> None:
    ax = scproto.pl.tree(make_metacells(), color="cell_type", palette={"type 1": "red"}, ax=axes())
    strip = parts(ax, QuadMesh)[0].get_array()
    assert {to_hex(c) for c in strip.reshape(-1, strip.shape[-1])} == {"#ff0000", OTHER.lower()}


@pytest.mark.parametrize(("n", "width", "named"), [(12, 9, True), (60, 3, False), (300, 40, False)])
def test_names_are_left_out_if_there_is_no_room(make_metacells: Make, n: int, width: float, named: bool) -> None:
    ax = scproto.pl.tree(make_metacells(n), GENES, ax=axes(width))
    assert len(ax.get_xticks()) == (n if named else 0)
    assert names(ax.get_yticklabels()) == GENES


def test_names_do_not_overlap(make_metacells: Make) -> None:
    ax = scproto.pl.tree(make_metacells(30, n_genes=25), [f"gene {i}" for i in range(25)], ax=axes(6, 4))
    ax.figure.draw_without_rendering()
    across = [label.get_window_extent() for label in ax.get_xticklabels()]
    down = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(left.x1 <= right.x0 for left, right in pairwise(across))
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(down))
    assert len(across) == 30
    assert len(down) == 25


def test_a_subfigure_works_and_global_state_stays_unchanged(make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    before = mpl.rcParams.copy()
    part = Figure(layout="constrained").subfigures(1, 2)[0]
    ax = scproto.pl.tree(make_metacells(), GENES, color="cell_type", ax=part.subplots())
    assert ax.figure is part
    assert mpl.rcParams == before
    assert plt.get_fignums() == []


def test_errors_name_the_bad_input(make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    metacells = make_metacells()
    with pytest.raises(InputError, match='no gene "CD4" in the metacells: take names from var_names, such as "gene 0"'):
        scproto.pl.tree(metacells, ["gene 1", "CD4"])
    with pytest.raises(InputError, match='no column "lineage" in obs of the metacells'):
        scproto.pl.tree(metacells, color="lineage")
    with pytest.raises(InputError, match="has 6 leaves for 4 metacells: give all"):
        scproto.pl.tree(metacells[:4])
    del metacells.layers["decoded"]
    with pytest.raises(InputError, match='no layer "decoded" in the metacells: choose one of counts'):
        scproto.pl.tree(metacells, GENES)
    del metacells.uns[_keys.TREE]
    with pytest.raises(InputError, match=r"take the metacells from model\.get_metacells"):
        scproto.pl.tree(metacells)
    assert plt.get_fignums() == []
