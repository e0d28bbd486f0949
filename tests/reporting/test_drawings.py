from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from scproto import _keys
from scproto.pl.colors import group
from scproto.reporting.drawings import CURVE_HEIGHT, CURVE_WIDTH, TREE_HEIGHT, draw_curves, draw_tree


def numbers(path: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?[\d.]+", path)]


def test_the_tree_has_one_branch_per_merge_and_every_leaf_once(make_run: Callable) -> None:
    cells, metacells, _ = make_run(n_metacells=12)
    tree = draw_tree(metacells, group(cells.obs[_keys.BATCH]))
    assert sorted(tree.order) == list(range(12))
    assert tree.branches.count("M") == 11
    assert min(numbers(tree.branches)) == -TREE_HEIGHT
    assert max(numbers(tree.branches)) < tree.width == 12 * tree.step


def test_bars_of_the_batches_stack_up(make_run: Callable) -> None:
    cells, metacells, _ = make_run()
    metacells.obs["share_lab a"], metacells.obs["share_lab b"] = [1, 0.5, 0.5, 0.5], [0, 0.5, 0.5, 0.5]
    groups = group(cells.obs[_keys.BATCH])
    bars = draw_tree(metacells, groups).bars
    assert [(name, color.upper()) for name, color, _ in bars] == list(zip(groups.names, groups.colors, strict=True))
    assert [path.count("M") for _, _, path in bars] == [4, 3]
    assert numbers(bars[1][2])[1] == 35  # the second batch starts half-way down


def test_curves_fill_their_box_and_the_warm_up_ends_where_the_swapped_prediction_starts() -> None:
    epochs = np.arange(11)
    history = {
        "loss": pd.DataFrame({"value": np.linspace(2000, 1, 11)}, index=epochs),
        "loss_swav": pd.DataFrame({"value": [np.nan] * 5 + [3.0] * 6}, index=epochs),
        "other": pd.DataFrame({"value": epochs}, index=epochs),
    }
    loss, swav = draw_curves(history)
    assert (loss.title, loss.low, loss.high) == ("Total loss", "1", "2,000")
    assert (loss.first, loss.last, loss.warm_up) == (0, 10, CURVE_WIDTH / 2)
    assert loss.path.startswith("M0 0L")
    assert loss.path.endswith(f"L{CURVE_WIDTH} {CURVE_HEIGHT}h0")
    assert swav.path.startswith("M100 0L")


def test_an_empty_history_gives_no_curves() -> None:
    assert draw_curves({}) == []
    assert draw_curves({"loss": pd.DataFrame({"loss": [np.nan]})}) == []
