from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.colors import MISSING, OTHER, PALETTE

Make = Callable[..., AnnData]


def axes():
    return Figure(layout="constrained").subplots()


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def pies(ax) -> list[tuple[tuple[float, float], float, list[tuple[str, float, float]]]]:
    """Place, area in points² and wedges of each pie, as drawn; a wedge is (colour, start, size), in turns."""
    (collection,) = ax.collections
    sizes, colors = 4 * collection.get_sizes(), collection.get_facecolors()
    found, wedges = [], []
    for path, xy, size, color in zip(
        collection.get_paths(), collection.get_offsets().tolist(), sizes, colors, strict=True
    ):
        if color[3] == 0:  # the rim closes the pie
            found.append((tuple(xy), float(size), wedges))
            wedges = []
            continue
        # A wedge runs from the middle, counterclockwise along the rim, and back.
        last, first = (np.arctan2(*path.vertices[i][::-1]) for i in (1, -3))
        start = (0.25 - first / (2 * np.pi)) % 1
        wedges.append((to_hex(color), start, ((first - last) / (2 * np.pi)) % 1 or 1.0))
    return found


def test_each_pie_shows_the_shares_of_its_batches(make_metacells: Make) -> None:
    metacells = make_metacells()
    drawn = {place: wedges for place, _, wedges in pies(scproto.pl.metacell_map(metacells, ax=axes()))}
    shares = metacells.obs[["share_lab 0", "share_lab 1", "share_lab 2"]].to_numpy()
    for xy, share in zip(metacells.obsm[_keys.UMAP].tolist(), shares, strict=True):
        colors, starts, sizes = zip(*drawn[tuple(xy)], strict=True)
        present = np.flatnonzero(share)  # a batch that the metacell lacks has no wedge
        assert colors == tuple(PALETTE[i].lower() for i in present)
        np.testing.assert_allclose(sizes, share[present], atol=1e-6)
        np.testing.assert_allclose(starts, np.cumsum([0, *share[present][:-1]]), atol=1e-6)


def test_areas_are_proportional_to_cells_and_small_ones_lie_on_top(make_metacells: Make) -> None:
    metacells = make_metacells()
    areas = np.array([area for _, area, _ in pies(scproto.pl.metacell_map(metacells, ax=axes()))])
    expected = np.sort(metacells.obs["n_cells"])[::-1]
    np.testing.assert_allclose(areas / areas[0], expected / expected[0])


@pytest.mark.parametrize("scale", [1.0, 40.0], ids=["round", "stretched"])
def test_pixels_show_the_shares_of_a_pie_at_any_scale_of_the_axes(make_metacells: Make, scale: float) -> None:
    metacells = make_metacells(1, 2)
    metacells.obs["share_lab 0"], metacells.obs["share_lab 1"] = 0.7, 0.3
    ax = scproto.pl.metacell_map(metacells, ax=axes())
    ax.get_legend().remove()
    ax.set(aspect="auto", xlim=(-2 * scale, 2 * scale), ylim=(-2, 2))
    ax.figure.set_dpi(200)
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    first, second = ((np.abs(pixels - to_rgb(c)).max(-1) < 0.02).sum() for c in PALETTE[:2])
    assert first / (first + second) == pytest.approx(0.7, abs=0.02)
    assert first + second > 200


def test_one_metacell_of_one_batch_is_a_full_circle(make_metacells: Make) -> None:
    metacells = make_metacells(1, 1)
    metacells.obs["share_lab 0"] = 1 + 1e-7
    ax = scproto.pl.metacell_map(metacells, ax=axes())
    assert [wedge[2] for wedge in pies(ax)[0][2]] == [1.0]
    assert ax.get_title(loc="left") == "Batches in 1 metacell"
    assert legend(ax)[0] == "lab 0"


def test_metacells_without_cells_are_not_drawn(metacells: AnnData) -> None:
    assert len(pies(scproto.pl.metacell_map(metacells, ax=axes()))) == 4


def test_the_circle_in_the_legend_has_the_scale_of_the_map(make_metacells: Make) -> None:
    ax = scproto.pl.metacell_map(make_metacells(), ax=axes())
    largest = pies(ax)[0]
    n_cells = int(legend(ax)[-1].removesuffix(" cells"))
    assert ax.get_legend().get_lines()[-1].get_markersize() ** 2 == pytest.approx(largest[1] * n_cells / 35)


def test_the_legend_names_29_of_300_batches(make_metacells: Make) -> None:
    metacells = make_metacells(8, 300)
    ax = scproto.pl.metacell_map(metacells, ax=axes())
    assert legend(ax)[29] == "271 others"
    assert len(legend(ax)) == 31
    for _, _, wedges in pies(ax):
        assert sum(size for _, _, size in wedges) == pytest.approx(1)
        assert wedges[-1][0] == OTHER.lower()


def test_a_thousand_pies_are_one_artist(make_metacells: Make) -> None:
    ax = scproto.pl.metacell_map(make_metacells(1000, 4), ax=axes())
    assert len(pies(ax)) == 1000


def test_labels_are_drawn_as_categories(make_metacells: Make) -> None:
    metacells = make_metacells()
    metacells.obs.loc["metacell_0", "cell_type"] = np.nan
    ax = scproto.pl.metacell_map(metacells, "cell_type", ax=axes())
    (circles,) = ax.collections
    at = dict(zip(map(tuple, circles.get_offsets().tolist()), map(to_hex, circles.get_facecolors()), strict=True))
    expected = [MISSING, PALETTE[1], PALETTE[0], PALETTE[1], PALETTE[0], PALETTE[1]]
    assert [at[tuple(xy)] for xy in metacells.obsm[_keys.UMAP].tolist()] == [c.lower() for c in expected]
    assert legend(ax)[:3] == ["type 0", "type 1", "no value"]
    sizes = np.sort(metacells.obs["n_cells"])[::-1]
    np.testing.assert_allclose(circles.get_sizes() / circles.get_sizes()[0], sizes / sizes[0])


@pytest.mark.parametrize("n", [1, 3, 4])  # 3 or 4 numbers must not be read as one colour in RGB or RGBA
def test_numbers_have_a_colour_bar(make_metacells: Make, n: int) -> None:
    metacells = make_metacells(n)
    ax = scproto.pl.metacell_map(metacells, "batch_entropy", ax=axes())
    by_size = metacells.obs.sort_values("n_cells", ascending=False)
    np.testing.assert_allclose(ax.collections[0].get_array(), by_size["batch_entropy"])
    assert len(ax.child_axes) == 1
    assert len(legend(ax)) == 1


def test_a_palette_colours_batches_and_labels(make_metacells: Make) -> None:
    metacells = make_metacells()
    ax = scproto.pl.metacell_map(metacells, palette={"lab 1": "red"}, ax=axes())
    assert {wedge[0] for _, _, wedges in pies(ax) for wedge in wedges} == {"#ff0000", OTHER.lower()}
    assert legend(ax)[:2] == ["lab 1", "2 others"]
    ax = scproto.pl.metacell_map(metacells, "cell_type", palette={"type 0": (0, 0, 1)}, ax=axes())
    assert {to_hex(c) for c in ax.collections[0].get_facecolors()} == {"#0000ff", OTHER.lower()}
    assert legend(ax)[:2] == ["type 0", "1 other"]


def test_global_settings_and_pyplot_stay_unchanged(make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    before = mpl.rcParams.copy()
    scproto.pl.metacell_map(make_metacells(), ax=axes())
    assert mpl.rcParams == before
    assert plt.get_fignums() == []


def test_without_axes_a_pyplot_figure_is_made(make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    ax = scproto.pl.metacell_map(make_metacells())
    assert [plt.figure(number) for number in plt.get_fignums()] == [ax.figure]
    plt.close(ax.figure)


def test_errors_name_the_bad_input(make_metacells: Make, metacells: AnnData) -> None:
    import matplotlib.pyplot as plt

    made = make_metacells()
    with pytest.raises(InputError, match='no column "lineage" in obs of the metacells: choose one of n_cells'):
        scproto.pl.metacell_map(made, "lineage")
    with pytest.raises(InputError, match=r'palette\["lab 0"\] is "?\'rainbow\'"?, which is not a colour'):
        scproto.pl.metacell_map(made, palette={"lab 0": "rainbow"})
    with pytest.raises(InputError, match="No metacell has a cell"):
        scproto.pl.metacell_map(metacells[-1:])
    with pytest.raises(InputError, match='no column "n_cells" in obs of the metacells'):
        scproto.pl.metacell_map(AnnData(obs=made.obs[["cell_type"]]))
    del made.obsm[_keys.UMAP]
    with pytest.raises(InputError, match=r"run scproto\.tl\.umap"):
        scproto.pl.metacell_map(made)
    assert plt.get_fignums() == []
