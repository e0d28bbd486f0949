from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.colors import MISSING, PALETTE

Make = Callable[..., AnnData]


def axes():
    return Figure(layout="constrained").subplots(1, 3)


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax) -> np.ndarray:
    return np.asarray(ax.collections[0].get_offsets())


def colors(ax) -> list[str]:
    return [to_hex(color) for color in ax.collections[0].get_facecolors()]


@pytest.fixture
def cells() -> AnnData:
    """Ten cells of three types; the first has no counts."""
    counts = np.random.default_rng(0).poisson(0.7, size=(10, 5)).astype(np.float32)
    counts[0] = 0
    obs = pd.DataFrame({"cell_type": pd.Categorical([f"type {i % 3}" for i in range(10)]), "lab": "lab 0"})
    return AnnData(sp.csr_matrix(counts), obs.rename(str), pd.DataFrame(index=[f"gene {i}" for i in range(5)]))


def test_each_panel_shows_log1p_cp10k(cells: AnnData, make_metacells: Make) -> None:
    metacells = make_metacells()
    panels = scproto.pl.marker_scatter(cells, metacells, "gene 4", "gene 1", axes=axes())
    counts, summed = cells.X.toarray(), metacells.layers["counts"].toarray()
    expected = [
        np.log1p(1e4 * counts / np.maximum(counts.sum(1, keepdims=True), 1)),
        np.log1p(1e4 * summed / summed.sum(1, keepdims=True)),
        np.log1p(metacells.layers["decoded"]),
    ]
    for ax, values in zip(panels, expected, strict=True):
        np.testing.assert_allclose(np.sort(points(ax), axis=0), np.sort(values[:, [4, 1]], axis=0), rtol=1e-5)
        assert ax.get_xlabel() == "gene 4, log1p CP10k"
        assert ax.get_ylabel() == "gene 1, log1p CP10k"
        assert (points(ax) >= [ax.get_xlim()[0], ax.get_ylim()[0]]).all()
        assert (points(ax) <= [ax.get_xlim()[1], ax.get_ylim()[1]]).all()
    np.testing.assert_allclose(points(panels[2]), expected[2][:, [4, 1]], rtol=1e-5)  # a point keeps its x and y
    neither = (counts[:, [4, 1]].sum(1) == 0).mean()
    assert [ax.get_title(loc="left") for ax in panels] == [
        f"Cells ({neither:.0%} with neither)", "Metacells, counts", "Metacells, decoded",
    ]  # fmt: skip


def test_cells_and_metacells_have_the_colours_of_their_labels(cells: AnnData, make_metacells: Make) -> None:
    metacells = make_metacells()
    metacells.obs["cell_type"] = pd.Categorical(["type 2", "type 0", "type 2", "type 0", "type 0", None])
    panels = scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", color="cell_type", axes=axes())
    # "type 2" has the third colour everywhere, although no metacell has "type 1".
    expected = [PALETTE[2], PALETTE[0], PALETTE[2], PALETTE[0], PALETTE[0], MISSING]
    assert colors(panels[1]) == colors(panels[2]) == [c.lower() for c in expected]
    drawn = pd.Series(colors(panels[0])).value_counts()
    assert drawn.to_dict() == {PALETTE[0].lower(): 4, PALETTE[1].lower(): 3, PALETTE[2].lower(): 3}
    assert legend(panels[2]) == ["type 0", "type 1", "type 2"]


def test_metacells_without_the_column_are_hollow(cells: AnnData, make_metacells: Make) -> None:
    panels = scproto.pl.marker_scatter(cells, make_metacells(), "gene 0", "gene 1", color="lab", axes=axes())
    assert set(colors(panels[0])) == {PALETTE[0].lower()}
    assert set(colors(panels[1])) == {"#ffffff"}


def test_areas_are_proportional_to_cells_and_empty_metacells_are_left_out(cells: AnnData, make_metacells: Make) -> None:
    metacells = make_metacells()
    metacells.obs.loc["metacell_2", "n_cells"] = 0
    panels = scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", axes=axes())
    n_cells = metacells.obs["n_cells"].to_numpy()[[0, 1, 3, 4, 5]]
    for ax in panels[1:]:
        sizes = ax.collections[0].get_sizes()
        np.testing.assert_allclose(sizes / sizes[0], n_cells / n_cells[0])


def test_one_cell_one_metacell_and_a_gene_without_counts(cells: AnnData, make_metacells: Make) -> None:
    panels = scproto.pl.marker_scatter(cells[:1], make_metacells(1), "gene 0", "gene 0", color="cell_type", axes=axes())
    assert points(panels[0]).tolist() == [[0, 0]]
    assert panels[0].get_xlim() == (-0.05, 1.05)
    assert panels[0].get_title(loc="left") == "Cells (100% with neither)"
    assert len(points(panels[1])) == 1


def test_cells_without_labels_and_with_many_labels(cells: AnnData, make_metacells: Make) -> None:
    cells.obs["cell_type"] = np.nan
    panels = scproto.pl.marker_scatter(cells, make_metacells(), "gene 0", "gene 1", color="cell_type", axes=axes())
    assert set(colors(panels[0])) == {MISSING.lower()}
    assert legend(panels[2]) == ["no value"]
    many = AnnData(sp.csr_matrix(np.ones((300, 5), np.float32)), var=cells.var)
    many.obs["batch"] = [f"batch {i}" for i in range(300)]
    panels = scproto.pl.marker_scatter(many, make_metacells(), "gene 0", "gene 1", color="batch", axes=axes())
    assert legend(panels[2])[-1] == "271 others"
    assert len(points(panels[0])) == 300


def test_counts_come_from_where_prepare_found_them(cells: AnnData, make_metacells: Make) -> None:
    metacells = make_metacells()
    expected = points(scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", axes=axes())[0])
    cells.layers["raw"] = cells.X.copy()
    cells.X = cells.X.log1p()
    given = scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", layer="raw", axes=axes())
    np.testing.assert_array_equal(points(given[0]), expected)
    cells.uns[_keys.UNS] = {"prepare": {"layer": "raw"}}
    found = scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", axes=axes())
    np.testing.assert_array_equal(points(found[0]), expected)


def test_cells_on_disk(cells: AnnData, make_metacells: Make, tmp_path) -> None:
    import anndata

    expected = points(scproto.pl.marker_scatter(cells, make_metacells(), "gene 3", "gene 0", axes=axes())[0])
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    drawn = points(scproto.pl.marker_scatter(backed, make_metacells(), "gene 3", "gene 0", axes=axes())[0])
    backed.file.close()
    np.testing.assert_array_equal(drawn, expected)


def test_global_settings_and_pyplot_stay_unchanged(cells: AnnData, make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    before = mpl.rcParams.copy()
    scproto.pl.marker_scatter(cells, make_metacells(), "gene 0", "gene 1", color="cell_type", axes=axes())
    assert mpl.rcParams == before
    assert plt.get_fignums() == []


def test_without_axes_a_pyplot_figure_is_made(cells: AnnData, make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    panels = scproto.pl.marker_scatter(cells, make_metacells(), "gene 0", "gene 1")
    assert [plt.figure(number) for number in plt.get_fignums()] == [panels[0].figure]
    plt.close(panels[0].figure)


def test_errors_name_the_bad_input(cells: AnnData, make_metacells: Make) -> None:
    import matplotlib.pyplot as plt

    metacells = make_metacells()
    with pytest.raises(InputError, match='no gene "CD4" in the cells'):
        scproto.pl.marker_scatter(cells, metacells, "gene 0", "CD4")
    with pytest.raises(InputError, match='no gene "gene 4" in the metacells'):
        scproto.pl.marker_scatter(cells, metacells[:, :3], "gene 0", "gene 4")
    with pytest.raises(InputError, match='no layer "raw" in the cells: they have none'):
        scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", layer="raw")
    with pytest.raises(InputError, match='no column "lineage" in obs: choose one of cell_type'):
        scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", color="lineage")
    with pytest.raises(InputError, match="There are 2 axes: give three"):
        scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1", axes=axes()[:2])
    cells.X = cells.X.log1p()
    with pytest.raises(InputError, match=r"adata\.X looks log-normalised"):
        scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1")
    cells.var_names = ["gene 0"] * 5
    with pytest.raises(InputError, match="Some genes of the cells have the same name"):
        scproto.pl.marker_scatter(cells, metacells, "gene 0", "gene 1")
    assert plt.get_fignums() == []
