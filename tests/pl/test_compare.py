from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.compare import nodes_of, stems
from scproto.pl.tree import lay_out
from scproto.reporting.compare import render_comparison


@pytest.fixture
def compared(make_metacells: Callable[..., AnnData]) -> AnnData:
    """Eight metacells after a comparison of two doses with none; metacell_0 grows, and metacell_7 is not tested."""
    metacells, rng = make_metacells(8), np.random.default_rng(0)
    rows = []
    for sample in range(9):
        share = np.array([1.0 + 5 * (sample >= 3), *np.ones(6), 0]) * np.exp(rng.normal(0, 0.1, 8))
        rows += [(f"metacell_{m}", f"s{sample}", str(sample // 3)) for m in rng.choice(8, 300, p=share / share.sum())]
    obs = pd.DataFrame(rows, columns=[_keys.METACELL, "sample", "dose"]).set_index(np.arange(len(rows)).astype(str))
    scproto.tl.compare(AnnData(obs=obs), "sample", "dose", reference="0", metacells=metacells)
    return metacells


def panels() -> np.ndarray:
    return Figure(figsize=(12, 4)).subplots(1, 3)


def test_stems_lead_from_each_node_to_its_parent(compared: AnnData) -> None:
    linkage = compared.uns[_keys.TREE]
    order, corners = lay_out(linkage)
    place, height = nodes_of(order, corners)
    lines, node = stems(linkage, place, height)
    assert sorted(node) == list(range(14))
    np.testing.assert_array_equal(place[order], np.arange(8) + 0.5)
    for line, i in zip(lines, node, strict=True):
        (parent,) = np.flatnonzero((linkage[:, :2] == i).any(axis=1))
        np.testing.assert_allclose(line, [[place[i], height[i]], [place[i], linkage[parent, 2]]])
        assert height[i] == (0 if i < 8 else linkage[i - 8, 2])


def test_each_panel_shows_the_table(compared: AnnData) -> None:
    table = compared.uns[_keys.COMPARED]["table"]
    part = table[table["condition"] == "2"]
    called = part["pvals_adj"] < 0.05
    axes = scproto.pl.compare(compared, condition="2", n_intervals=5, axes=panels())
    assert axes[0].get_title(loc="left") == "2 against 0"
    widths = next(c for c in axes[0].collections if isinstance(c, LineCollection) and len(set(c.get_linewidths())) > 1)
    assert (np.array(widths.get_linewidths()) > 2).sum() == called.sum() > 0
    assert len(axes[1].collections[0].get_offsets()) == 8
    names = [text.get_text() for text in axes[2].get_yticklabels()][::-1]
    expected = part.dropna(subset="pvals").sort_values("pvals").head(5)
    assert [name.split(" ")[0] for name in names] == expected["group"].tolist()
    np.testing.assert_allclose(axes[2].collections[1].get_offsets()[::-1, 0], expected["logfoldchanges"])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_metacells(make_metacells: Callable[..., AnnData], n: int) -> None:
    metacells = make_metacells(n)
    names = [f"metacell_{i}" for i in range(n)]
    obs = pd.DataFrame({_keys.METACELL: np.tile(names, 60), "sample": np.repeat([*"abcdef"], 10 * n)})
    obs["arm"] = np.where(obs["sample"] < "d", "x", "y")
    scproto.tl.compare(AnnData(obs=obs.set_index(obs.index.astype(str))), "sample", "arm", metacells=metacells)
    axes = scproto.pl.compare(metacells, axes=panels())
    axes[0].figure.savefig(BytesIO(), dpi=30)
    assert len(axes[2].get_yticks()) == n + max(0, n - 2)
    assert render_comparison(metacells).count("<tr><th") >= n


def test_without_a_umap_the_map_is_left_out(compared: AnnData) -> None:
    del compared.obsm[_keys.UMAP]
    axes = scproto.pl.compare(compared, axes=panels())
    assert [ax.get_visible() for ax in axes] == [True, False, True]
    assert "UMAP" not in render_comparison(compared)


def test_the_page_has_a_section_per_condition_and_says_what_was_not_tested(compared: AnnData) -> None:
    page = render_comparison(compared)
    assert "<h2>1 against 0</h2>" in page
    assert "<h2>2 against 0</h2>" in page
    assert page.count("not tested</td>") == compared.uns[_keys.COMPARED]["table"]["pvals"].isna().sum() == 2
    assert "3 of 0, 3 of 1, 3 of 2" in page
    assert page.count("metacell_7: not tested</title>") == 2 * 3  # stem, leaf and circle
    assert "nan" not in page


def test_bad_input_is_refused(compared: AnnData, make_metacells: Callable[..., AnnData]) -> None:
    with pytest.raises(InputError, match="no comparison"):
        scproto.pl.compare(make_metacells(8))
    with pytest.raises(InputError, match="no comparison"):
        render_comparison(make_metacells(8))
    with pytest.raises(InputError, match="no condition '3'; it has 1, 2"):
        scproto.pl.compare(compared, condition="3")
    with pytest.raises(InputError, match="give three"):
        scproto.pl.compare(compared, axes=panels()[:2])
