"""The report with labels and batches of any name and type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from scproto import _keys
from scproto.pl.colors import group
from scproto.reporting import payload, write_report
from scproto.reporting.drawings import draw_tree
from scproto.reporting.summary import summarise
from scproto.reporting.table import tabulate


def test_batches_have_their_own_names_and_colours(make_run: Callable) -> None:
    cells, metacells, _ = make_run(batches=("A/B", "A|B", ""))
    columns = {"share_A/B": "share_A|B_2"}
    metacells.obs = metacells.obs.rename(columns=columns)
    names = {"share_A|B_2": "A/B", "share_A|B": "A|B", "share_": ""}
    metacells.uns[_keys.NAMES] = {"batches": names, "labels": {"cell_type": "cell_type"}}
    colors = group(cells.obs[_keys.BATCH])
    found = payload.batches(metacells, colors)
    assert [colors.names[place] for place in found["place"]] == found["names"] == ["A/B", "A|B", ""]
    assert found["shown"] == colors.names
    bars = {name: shade for name, shade, _ in draw_tree(metacells, colors).bars}
    assert bars == {name: shade.lower() for name, shade in zip(colors.names, colors.colors, strict=True)}


def test_a_label_in_a_column_of_another_name(make_run: Callable) -> None:
    cells, metacells, _ = make_run()
    cells.obs["n_cells"] = cells.obs["cell_type"]
    metacells.obs = metacells.obs.rename(
        columns={"cell_type": "n_cells_label", "cell_type_share": "n_cells_label_share"}
    )
    metacells.uns[_keys.NAMES] = {"batches": {}, "labels": {"n_cells_label": "n_cells"}}
    table = tabulate(metacells, "n_cells", {}, [[]] * 4)
    assert [column.key for column in table.columns[1:4]] == ["n_cells_label", "n_cells_label_share", "n_cells"]
    assert (table.columns[1].title, table.columns[1].values[0]) == ("n_cells", "T")
    batch, label = group(cells.obs[_keys.BATCH]), group(cells.obs["n_cells"])
    assert payload.gather(cells, metacells, batch, label, "n_cells")["metacells"]["majority"] == ["T"] * 4


@pytest.mark.parametrize("label", ["metacell", "doubts", "top_genes"])
def test_a_label_with_the_name_of_a_table_column_gets_another(make_run: Callable, label: str) -> None:
    _, metacells, _ = make_run()
    metacells.obs = metacells.obs.rename(columns={"cell_type": label, "cell_type_share": f"{label}_share"})
    keys = tabulate(metacells, label, {}, [[]] * 4).to_json()["keys"]
    assert len(set(keys)) == len(keys)
    assert keys[1] == f"{label}_label"


KINDS = {
    "object": np.array(["B", None], dtype=object),
    "string": pd.array(["B", None], dtype="string"),
    "categorical": pd.Categorical(["B", None], categories=["unused", "B"], ordered=True),
    "Int64": pd.array([1, None], dtype="Int64"),
    "float": np.array([1.0, np.nan]),
    "boolean": pd.array([True, None], dtype="boolean"),
    "date": pd.to_datetime(["2020-01-01", None]),
    "no labels": np.array([None, None], dtype=object),
    "no numbers": np.array([np.nan, np.nan]),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_labels_of_any_type_with_missing_values(make_run: Callable, tmp_path, kind) -> None:
    cells, metacells, history = make_run()
    cells.obs["cell_type"] = pd.Series(kind).take(np.tile([0, 1], 40)).array
    metacells.obs["cell_type"] = pd.Series(kind).take([0, 1, 1, 0]).array
    known = cells.obs["cell_type"].notna().any()
    assert any("purity" in name for _, name, _ in summarise(cells, "cell_type").tiles) == known
    page = write_report(cells, metacells, history, {}, tmp_path / "report.html", label_key="cell_type").read_text()
    label = group(cells.obs["cell_type"])
    found = payload.gather(cells, metacells, group(cells.obs[_keys.BATCH]), label, "cell_type")
    assert found["metacells"]["label"] == ([0, -1, -1, 0] if known else [-1] * 4)
    assert "NaN" not in page.split('id="data">')[1].split("</script>")[0]
    assert not known or f"{int((label.codes < 0).sum())} cells without a label" in page


def test_a_history_without_curves_gives_no_figure(make_run: Callable, tmp_path) -> None:
    cells, metacells, _ = make_run()
    short = {"loss": pd.DataFrame({"loss": [np.nan]}), "loss_swav": pd.DataFrame({"loss_swav": []})}
    write_report(cells, metacells, short, {}, tmp_path / "report.html")
    assert not (tmp_path / "figures" / "training.png").exists()
