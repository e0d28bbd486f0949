from __future__ import annotations

import pandas as pd
import pytest
from pages import DOCS, PAGES, fill, without_paths


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_tables_of_the_documentation_match_the_results(path):
    text = path.read_text(encoding="utf-8")
    assert fill(text) == text, "run python benchmarks/pages.py"
    assert "<!-- table" in text


def test_every_result_is_shown():
    shown = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    for path in [path for path in (DOCS / "benchmarks").iterdir() if path.suffix in {".csv", ".json"}]:
        assert f"<!-- table: {path.stem}" in shown, path.name


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"data": "a", "method": "scproto", "purity_mean": 0.5, "purity_sd": 0.01},
        {"data": "a", "method": "pca", "purity_mean": 0.25},
        {"data": "b", "method": "pca", "purity_mean": 0.75},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "comparison.csv")
    return tmp_path


def test_the_text_between_the_comments_is_replaced(folder):
    page = "before\n<!-- table: comparison, a -->\nold\n<!-- end of table -->\nafter\n"
    lines = fill(page, folder).splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert "| 0.500 ± 0.010 |" in next(line for line in lines if line.startswith("| **scproto** |"))
    assert "| 0.250 |" in next(line for line in lines if line.startswith("| pca |"))
    assert "old" not in lines
    assert fill(fill(page, folder), folder) == fill(page, folder)


def test_a_table_without_an_end_or_without_results_is_an_error(folder):
    with pytest.raises(ValueError, match="has no end"):
        fill("<!-- table: comparison --> " * 2 + "<!-- end of table -->", folder)
    with pytest.raises(ValueError, match="no results"):
        fill("<!-- table: comparison, c --><!-- end of table -->", folder)


def test_results_of_speed_contain_no_paths():
    machine = {"system": "Linux of someone", "processor": "a chip", "cores": 2}
    arguments = {"data": "/home/me/cells.h5ad", "out": "/home/me/speed", "quick": False}
    found = without_paths({"task": "growth", "machine": machine, "arguments": arguments, "result": {"a": 1}})
    assert found["result"] == {"a": 1}
    assert found["arguments"] == {"data": "cells.h5ad", "quick": False}
    assert "someone" not in str(found)
