from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.colors import MISSING, OTHER, PALETTE

Make = Callable[..., AnnData]


def axes():
    return Figure().subplots()


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_each_cell_has_its_coordinates_and_the_colour_of_its_category(make_cells: Make) -> None:
    cells = make_cells()
    ax = scproto.pl.umap(cells, "cell_type", ax=axes())
    dots = ax.collections[0]
    color_at = {tuple(xy): to_hex(c) for xy, c in zip(dots.get_offsets().tolist(), dots.get_facecolors(), strict=True)}
    for xy, code in zip(cells.obsm[_keys.UMAP].tolist(), cells.obs["cell_type"].cat.codes, strict=True):
        assert color_at[tuple(xy)] == PALETTE[code].lower()
    assert legend(ax) == ["type 0", "type 1", "type 2"]
    assert dots.get_rasterized()


def test_circles_are_sized_by_cells_and_filled_by_label(make_cells: Make, metacells: AnnData) -> None:
    ax = scproto.pl.umap(make_cells(), "cell_type", metacells=metacells, ax=axes())
    circles = ax.collections[1]
    np.testing.assert_allclose(circles.get_sizes() / circles.get_sizes()[0], [1, 2, 3, 4])  # the empty one is not drawn
    assert [to_hex(c) for c in circles.get_facecolors()] == [c.lower() for c in np.array(PALETTE)[[1, 0, 0, 0]]]
    assert legend(ax)[-1] == "metacell (area: cells)"


def test_circles_are_hollow_if_the_metacells_lack_the_column(make_cells: Make, metacells: AnnData) -> None:
    ax = scproto.pl.umap(make_cells(), _keys.BATCH, metacells=metacells, ax=axes())
    assert {to_hex(c) for c in ax.collections[1].get_facecolors()} == {"#ffffff"}


def test_metacells_without_any_cell_are_not_drawn(make_cells: Make, metacells: AnnData) -> None:
    ax = scproto.pl.umap(make_cells(), _keys.BATCH, metacells=metacells[-1:], ax=axes())
    assert len(ax.collections[1].get_offsets()) == 0


def test_numbers_get_a_colour_bar_and_no_legend(make_cells: Make) -> None:
    ax = scproto.pl.umap(make_cells(), _keys.CONFIDENCE, ax=axes())
    assert ax.get_legend() is None
    assert len(ax.child_axes) == 1


def test_booleans_are_categories(make_cells: Make) -> None:
    assert legend(scproto.pl.umap(make_cells(), "doublet", ax=axes())) == ["False", "True"]


def test_cells_without_a_label_are_grey_and_lie_below(make_cells: Make) -> None:
    cells = make_cells()
    cells.obs.loc[cells.obs_names[:20], "cell_type"] = np.nan
    ax = scproto.pl.umap(cells, "cell_type", ax=axes())
    colors = [to_hex(c) for c in ax.collections[0].get_facecolors()]
    assert colors[:20] == [MISSING.lower()] * 20
    assert MISSING.lower() not in colors[20:]
    assert legend(ax)[-1] == "no value"


def test_global_settings_and_pyplot_stay_unchanged(make_cells: Make, metacells: AnnData) -> None:
    import matplotlib.pyplot as plt

    before = mpl.rcParams.copy()
    scproto.pl.umap(make_cells(), "cell_type", metacells=metacells, ax=axes())
    assert mpl.rcParams == before
    assert plt.get_fignums() == []


def test_without_axes_a_pyplot_figure_is_made(make_cells: Make) -> None:
    import matplotlib.pyplot as plt

    ax = scproto.pl.umap(make_cells(), "cell_type")
    assert [plt.figure(number) for number in plt.get_fignums()] == [ax.figure]
    plt.close(ax.figure)


def test_errors_name_the_bad_input(make_cells: Make, metacells: AnnData) -> None:
    cells = make_cells()
    with pytest.raises(InputError, match='no column "lineage" in obs: choose one of scproto_batch'):
        scproto.pl.umap(cells, "lineage")
    del metacells.obsm[_keys.UMAP]
    with pytest.raises(InputError, match=r"run scproto\.tl\.umap"):
        scproto.pl.umap(cells, "cell_type", metacells=metacells)


def test_cells_without_a_number_are_grey_and_lie_below(make_cells: Make) -> None:
    cells = make_cells()
    cells.obs.loc[cells.obs_names[:20], _keys.CONFIDENCE] = np.nan
    cells.obs.loc[cells.obs_names[20], _keys.CONFIDENCE] = np.inf
    ax = scproto.pl.umap(cells, _keys.CONFIDENCE, ax=axes())
    dots = ax.collections[0]
    assert len(dots.get_offsets()) == 60
    assert dots.get_array().mask.tolist() == [True] * 21 + [False] * 39
    assert to_hex(dots.cmap.get_bad()) == MISSING.lower()
    assert legend(ax) == ["no value"]


def test_metacells_of_the_smallest_categories_share_their_grey(make_cells: Make, metacells: AnnData) -> None:
    cells = make_cells(165, n_types=33)[:-1].copy()  # "type 32" is the smallest
    metacells.obs["cell_type"] = ["type 32", "type 0", None, "type 1", None]
    ax = scproto.pl.umap(cells, "cell_type", metacells=metacells, ax=axes())
    expected = [OTHER, PALETTE[0], MISSING, PALETTE[1]]
    assert [to_hex(c) for c in ax.collections[1].get_facecolors()] == [c.lower() for c in expected]


def test_one_palette_gives_cells_and_metacells_the_same_colours(make_cells: Make, metacells: AnnData) -> None:
    cells = make_cells()
    metacells.obs["cell_type"] = pd.Categorical(["type 2"] * 5)  # on its own it would have the first colour
    colors = scproto.pl.palette(cells.obs["cell_type"])
    assert colors == {"type 0": PALETTE[0], "type 1": PALETTE[1], "type 2": PALETTE[2]}
    ax = scproto.pl.metacell_map(metacells, "cell_type", palette=colors, ax=axes())
    assert {to_hex(c) for c in ax.collections[0].get_facecolors()} == {PALETTE[2].lower()}


def test_a_given_palette_is_used(make_cells: Make) -> None:
    ax = scproto.pl.umap(make_cells(), "cell_type", palette={"type 2": "red", "absent": "blue"}, ax=axes())
    assert {to_hex(c) for c in ax.collections[0].get_facecolors()} == {"#ff0000", OTHER.lower()}
    assert legend(ax) == ["type 2", "2 others"]


def test_circles_shrink_with_the_axes(make_cells: Make, metacells: AnnData) -> None:
    sizes = [
        scproto.pl.umap(make_cells(), "cell_type", metacells=metacells, ax=ax).collections[1].get_sizes()
        for ax in (Figure(figsize=(8, 6)).subplots(), Figure(figsize=(4, 3)).subplots())
    ]
    np.testing.assert_allclose(sizes[0], 4 * sizes[1])
