from __future__ import annotations

import re
from itertools import product

import numpy as np
import pandas as pd
import pytest
from markers import auroc
from pages import DOCS

PAGES = [DOCS.parent / "README.md", *(DOCS / "tutorials").glob("*.md")]


def pairs_in_order(positive, negative):
    """Return the share of pairs in which the positive value is higher; ties count half."""
    return np.mean([(a > b) + 0.5 * (a == b) for a, b in product(positive, negative)])


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    expression, labels = rng.poisson(2, (40, 2)).astype(float), rng.choice(["B", "NK", "T"], 40).astype(object)
    labels[:5] = np.nan
    found = auroc(expression, labels, {"one": {"B"}, "two": {"NK", "T", "not there"}})
    values, known = expression[5:], labels[5:].astype(str)
    assert found["one"] == pytest.approx(pairs_in_order(values[known == "B", 0], values[known != "B", 0]))
    assert found["two"] == pytest.approx(pairs_in_order(values[known != "B", 1], values[known == "B", 1]))


def test_markers_that_the_documentation_uses_hold_in_all_data():
    """Their mean AUROC over the seeds is at least 0.95 in decoded metacells, and higher than in cells."""
    results = pd.read_csv(DOCS / "benchmarks" / "markers.csv")
    holds = (results["metacells_mean"] >= 0.95) & (results["metacells_mean"] > results["cells"])
    good = {gene for gene, all_hold in holds.groupby(results["gene"]).all().items() if all_hold}
    used = {name for page in PAGES for name in re.findall(r'"([A-Z][A-Z0-9]+)"', page.read_text(encoding="utf-8"))}
    assert used
    assert used <= good
