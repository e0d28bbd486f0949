from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import scproto
from scproto import _keys
from scproto._errors import InputError
from scproto.pl.colors import MISSING, OTHER, PALETTE


def axes():
    return Figure(layout="constrained").subplots()


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def cells(distance, batch=None, outlier=None) -> AnnData:
    n = len(distance)
    obs = {
        _keys.DISTANCE: np.asarray(distance, dtype=np.float32),
        _keys.OUTLIER: np.zeros(n, dtype=bool) if outlier is None else outlier,
        _keys.BATCH: pd.Categorical(["all"] * n if batch is None else batch),
    }
    return AnnData(obs=pd.DataFrame(obs, index=[f"cell_{i}" for i in range(n)]))


def share_within(ax, curve: int, distance: float) -> float:
    """Share that a curve shows at a distance: each step keeps its height until the next."""
    line = ax.lines[curve]
    assert line.get_drawstyle() == "steps-post"
    x, y = line.get_data()
    return float(y[x <= distance][-1]) if (x <= distance).any() else 0.0


def test_curves_are_the_cumulative_shares_of_each_batch() -> None:
    adata = cells([0.3, 0.1, 0.2, 0.1, 0.4], ["a", "a", "b", "b", "b"])
    ax = scproto.pl.coverage(adata, ax=axes())
    np.testing.assert_allclose([share_within(ax, 0, d) for d in (0.05, 0.11, 0.25, 0.31)], [0, 0.5, 0.5, 1])
    np.testing.assert_allclose([share_within(ax, 1, d) for d in (0.05, 0.11, 0.25, 0.41)], [0, 1 / 3, 2 / 3, 1])
    assert [line.get_color() for line in ax.lines] == PALETTE[:2]
    assert legend(ax) == ["a", "b"]
    assert ax.get_title(loc="left") == "Coverage by batch"
    assert ax.get_xlim()[1] == pytest.approx(1.03 * 0.4)


@given(st.lists(st.floats(0, 2, width=32), min_size=1, max_size=50), st.floats(0, 2, width=32))
def test_a_curve_is_the_share_of_cells_within_the_distance(distance: list[float], at: float) -> None:
    ax = scproto.pl.coverage(cells(distance), ax=axes())
    assert share_within(ax, 0, at) == pytest.approx(np.mean(np.array(distance) <= at))


def test_a_curve_of_many_cells_keeps_its_shape_with_fewer_points() -> None:
    distance = np.random.default_rng(0).gamma(2, 0.1, 20_000)
    ax = scproto.pl.coverage(cells(distance), ax=axes())
    assert len(ax.lines[0].get_xdata()) <= 1001
    assert ax.lines[0].get_xdata()[-1] == pytest.approx(distance.max())
    for at in (0.05, 0.2, 0.6):
        assert share_within(ax, 0, at) == pytest.approx((distance <= at).mean(), abs=0.002)


def test_outliers_are_marked_on_their_curve() -> None:
    adata = cells([0.1, 0.2, 0.9, 0.1, 0.8, 0.2], list("aaabbb"), np.array([0, 0, 1, 0, 1, 0], dtype=bool))
    ax = scproto.pl.coverage(adata, ax=axes())
    first, second = ax.collections
    np.testing.assert_allclose(first.get_offsets(), [[0.9, 1]], rtol=1e-6)
    np.testing.assert_allclose(second.get_offsets(), [[0.8, 1]], rtol=1e-6)
    assert [to_hex(marks.get_edgecolors()[0]) for marks in (first, second)] == [c.lower() for c in PALETTE[:2]]
    assert legend(ax)[-1] == "outliers (33.3%)"


def test_a_tiny_share_of_outliers_is_not_shown_as_zero() -> None:
    ax = scproto.pl.coverage(cells(np.linspace(0, 1, 5000), outlier=np.arange(5000) == 4999), ax=axes())
    assert legend(ax)[-1] == "outliers (< 0.1%)"


def test_cells_without_a_label_form_a_grey_curve() -> None:
    adata = cells([0.1, 0.2, 0.3, 0.4])
    adata.obs["cell_type"] = pd.Categorical(["T", np.nan, "T", np.nan])
    ax = scproto.pl.coverage(adata, "cell_type", ax=axes())
    assert legend(ax) == ["T", "no value"]
    assert ax.lines[1].get_color() == MISSING
    assert share_within(ax, 1, 0.25) == 0.5
    adata.obs["cell_type"] = np.nan
    assert legend(scproto.pl.coverage(adata, "cell_type", ax=axes())) == ["no value"]


def test_the_smallest_of_300_batches_share_one_curve() -> None:
    batch = np.r_[np.repeat(np.arange(300), 2), np.repeat(np.arange(29), 3)]
    ax = scproto.pl.coverage(cells(np.linspace(0.01, 1, len(batch)), batch), ax=axes())
    assert len(ax.lines) == 30
    assert legend(ax)[-1] == "271 others"
    assert ax.lines[-1].get_color() == OTHER


@pytest.mark.parametrize("distance", [[0.0], [0.0, 0.0], [0.25]])
def test_unusual_distances(distance: list[float]) -> None:
    ax = scproto.pl.coverage(cells(distance), ax=axes())
    assert share_within(ax, 0, 0.25) == 1
    assert ax.get_xlim()[1] > 0


def test_cells_that_were_never_assigned_are_left_out() -> None:
    adata = cells([0.1, np.nan, 0.3])
    adata.obs[_keys.OUTLIER] = [True, np.nan, False]  # as after concatenation
    ax = scproto.pl.coverage(adata, ax=axes())
    assert share_within(ax, 0, 0.2) == 0.5
    assert ax.collections[0].get_offsets().tolist() == [[pytest.approx(0.1), 0.5]]


def test_global_settings_and_pyplot_stay_unchanged() -> None:
    import matplotlib.pyplot as plt

    before = mpl.rcParams.copy()
    scproto.pl.coverage(cells([0.1, 0.2]), palette={"all": "red"}, ax=axes())
    assert mpl.rcParams == before
    assert plt.get_fignums() == []


def test_errors_name_the_bad_input() -> None:
    adata = cells([0.1, 0.2])
    with pytest.raises(InputError, match='no column "lineage" in obs: choose one of metacell_distance'):
        scproto.pl.coverage(adata, "lineage")
    adata.obs[_keys.DISTANCE] = np.nan
    with pytest.raises(InputError, match="No cell has a value"):
        scproto.pl.coverage(adata)
    del adata.obs[_keys.OUTLIER]
    with pytest.raises(InputError, match=r'obs\["metacell_outlier"\] is missing: run scproto\.tl\.assign_metacells'):
        scproto.pl.coverage(adata)
