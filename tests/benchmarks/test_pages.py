from __future__ import annotations

import pandas as pd
import pytest
from pages import DOCS, PAGES, fill, without_paths


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_tables_of_the_documentation_are_those_of_the_results(path):
    text = path.read_text(encoding="utf-8")
    assert fill(text) == text, "run python benchmarks/pages.py"
    assert "<!-- table" in text


def test_every_result_is_shown():
    shown = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for path in [path for path in (DOCS / "benchmarks").iterdir() if path.suffix in {".csv", ".json"}]:
        assert f"<!-- table: {path.stem}" in shown, path.name


@pytest.fixture
def folder(tmp_path):
    columns = ["purity_mean", "purity_sd"]
    scores = ["total", "bio", "batch", "balanced_purity", "coverage", "mean_label_recall", "batch_entropy", "size_cv"]
    row = dict.fromkeys([f"{name}_{part}" for name in [*scores, "corr_weighted"] for part in ("mean", "sd")])
    rows = [
        {"data": "a", "method": "scproto", **dict(zip(columns, (0.5, 0.01), strict=True))},
        {"data": "a", "method": "pca", **dict(zip(columns, (0.25, None), strict=True))},
        {"data": "b", "method": "pca", **dict(zip(columns, (0.75, None), strict=True))},
    ]
    pd.DataFrame([row | one for one in rows]).astype(float, errors="ignore").to_csv(tmp_path / "comparison.csv")
    return tmp_path


def test_what_is_between_the_comments_is_made_anew(folder):
    page = "before\n<!-- table: comparison, a -->\nold\n<!-- end of table -->\nafter\n"
    lines = fill(page, folder).splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert "| 0.500 ± 0.010 |" in next(line for line in lines if line.startswith("| **scproto** |"))
    assert "| 0.250 |" in next(line for line in lines if line.startswith("| pca |"))
    assert "old" not in lines
    assert fill(fill(page, folder), folder) == fill(page, folder)


def test_a_table_without_an_end_is_an_error(folder):
    with pytest.raises(ValueError, match="has no end"):
        fill("<!-- table: comparison --> " * 2 + "<!-- end of table -->", folder)


def test_a_table_without_results_is_an_error(folder):
    with pytest.raises(ValueError, match="no results"):
        fill("<!-- table: comparison, c --><!-- end of table -->", folder)


def test_results_of_speed_come_without_paths():
    machine = {"system": "Linux of someone", "processor": "a chip", "cores": 2}
    record = {"task": "step", "machine": machine, "arguments": {"data": "/home/me/cells.h5ad", "out": "/home/me/speed"}}
    found = without_paths({**record, "result": {"a": 1}} | {"arguments": record["arguments"] | {"quick": False}})
    assert found["result"] == {"a": 1}
    assert found["arguments"] == {"data": "cells.h5ad", "quick": False}
    assert "someone" not in str(found)
