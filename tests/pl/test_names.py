"""Figures show names from the data as they are, even where matplotlib would read them as markup."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

import scproto
from scproto import _keys

ODD = ["$x$", "$", r"\frac{", "_foo", "", "a\nb", "nan"]


def texts(ax) -> list[str]:
    """Texts of the legend, once the figure has been drawn."""
    ax.figure.savefig(BytesIO(), format="png", dpi=40)
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def odd(make_cells: Callable[..., AnnData]) -> AnnData:
    """Cells with odd labels, some of them missing, in a column with an odd name."""
    cells = make_cells(64)
    cells.obs["$type_"] = pd.Series([*ODD, None] * 8, index=cells.obs_names, dtype=object)
    cells.obs[_keys.DISTANCE], cells.obs[_keys.OUTLIER] = 0.5, False
    return cells


def test_labels_of_cells(odd: AnnData) -> None:
    for draw in (scproto.pl.umap, scproto.pl.coverage):
        ax = draw(odd, "$type_", ax=Figure().subplots())
        assert texts(ax) == [*sorted(ODD), "no value"]
        assert "$type_" in ax.get_title(loc="left")


def test_labels_and_batches_of_metacells(make_metacells: Callable[..., AnnData]) -> None:
    metacells = make_metacells(8, n_batches=len(ODD))
    metacells.obs = metacells.obs.rename(columns={f"share_lab {i}": f"share_{name}" for i, name in enumerate(ODD)})
    metacells.obs["cell_type"] = pd.Categorical([*ODD, None])
    metacells.obs["cell_type_share"] = 1.0
    ax = scproto.pl.batch_shares(metacells, ax=Figure().subplots())
    assert texts(ax) == ODD[::-1]
    assert {text.get_text() for text in ax.texts} == {"all cells", "no value", *ODD}
    assert texts(scproto.pl.metacell_map(metacells, ax=Figure().subplots()))[: len(ODD)] == ODD
    ax = scproto.pl.tree(metacells, color="cell_type", ax=Figure(figsize=(9, 4)).subplots())
    assert texts(ax) == [*sorted(ODD), "no value"]


def test_genes(make_cells: Callable[..., AnnData], make_metacells: Callable[..., AnnData]) -> None:
    metacells = make_metacells(8)
    metacells.var_names = ["$x$", "_foo", "$", "c", "d"]
    ax = scproto.pl.tree(metacells, ["$x$", "_foo"], ax=Figure(figsize=(9, 4)).subplots())
    ax.figure.savefig(BytesIO(), format="png", dpi=40)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["$x$", "_foo"]
    assert len(scproto.pl.tree(metacells, "$x$", ax=Figure(figsize=(9, 4)).subplots()).get_yticks()) == 1
    cells = AnnData(np.ones((5, 5), dtype=np.float32), var=pd.DataFrame(index=metacells.var_names))
    axes = scproto.pl.marker_scatter(cells, metacells, "$x$", "$", axes=Figure().subplots(1, 3))
    axes[0].figure.savefig(BytesIO(), format="png", dpi=40)
    assert axes[0].get_ylabel() == "$, log1p CP10k"


def test_batches_with_a_slash_have_their_names_and_colours(make_metacells: Callable[..., AnnData]) -> None:
    metacells = make_metacells(6, n_batches=2)
    names = {"share_A|B": "A|B", "share_A|B_2": "A/B"}
    metacells.obs = metacells.obs.rename(columns=dict(zip(["share_lab 0", "share_lab 1"], names, strict=True)))
    metacells.obs["x_share"] = 1.0
    metacells.obs["share_odd_share"] = 1.0  # of a label
    metacells.uns[_keys.NAMES] = {"batches": names, "labels": {}}
    ax = scproto.pl.metacell_map(metacells, palette={"A/B": "#010203", "A|B": "#040506"}, ax=Figure().subplots())
    handles = dict(zip(texts(ax), ax.get_legend().legend_handles, strict=True))
    assert handles["A/B"].get_markerfacecolor() == "#010203"
    assert handles["A|B"].get_markerfacecolor() == "#040506"
    assert len(handles) == 3  # the third is the size


def test_a_label_is_found_under_its_own_name(make_cells: Callable, make_metacells: Callable) -> None:
    """Its column has another name if scproto uses that of the label."""
    metacells, cells = make_metacells(6), make_cells(60)
    cells.obs["n_cells"] = cells.obs["a/b"] = ["few", "many"] * 30
    metacells.obs["n_cells_label"] = metacells.obs["a|b"] = pd.Categorical(["few", "many"] * 3)
    metacells.uns[_keys.NAMES] = {"batches": {}, "labels": {"n_cells_label": "n_cells", "a|b": "a/b"}}
    expected = scproto.pl.palette(cells.obs["n_cells"])
    for label in ("n_cells", "a/b"):
        circles = scproto.pl.umap(cells, label, metacells=metacells, ax=Figure().subplots()).collections[1]
        assert len(np.unique(circles.get_facecolors(), axis=0)) == 2
    for draw in (scproto.pl.metacell_map, scproto.pl.tree):
        ax = draw(metacells, color="a/b", ax=Figure(figsize=(9, 4)).subplots())
        assert texts(ax)[:2] == list(expected)
    assert scproto.pl.metacell_map(metacells, "n_cells", ax=Figure().subplots()).get_title(loc="left") == "n_cells"


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None] * 30, dtype="Int64"),
        pd.array([True, None] * 30, dtype="boolean"),
        pd.array(["a", None] * 30, dtype="string"),
        pd.Categorical(["a", None] * 30, categories=["b", "a"], ordered=True),
        np.full(60, np.nan),
        np.full(60, None),
        pd.to_datetime(["2020-01-01", None] * 30),
    ],
    ids=lambda values: str(values.dtype),
)
def test_columns_of_any_type(make_cells: Callable[..., AnnData], values) -> None:
    cells = make_cells(60)
    cells.obs["label"] = values
    assert texts(scproto.pl.umap(cells, "label", ax=Figure().subplots()))[-1] == "no value"
