from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import ranks

METHODS = ["scproto", "harmony", "scvi", "random"]
SCORES = [score for group in ranks.GROUPS.values() for score in group]


@pytest.fixture
def rows() -> pd.DataFrame:
    """Three data sets and two seeds, with ties, a failed run, a method that always fails on "c" and no embedding."""
    rng = np.random.default_rng(0)
    made = []
    for data in "abc":
        for method in METHODS:
            for seed in (0, 1):
                status = (
                    "exit code 1"
                    if (data, method) == ("c", "scvi") or (data, method, seed) == ("a", "scvi", 1)
                    else "ok"
                )
                scores = dict(zip(SCORES, rng.integers(0, 4, len(SCORES)) / 4, strict=True))
                if method == "random":
                    scores |= dict.fromkeys(ranks.GROUPS["integration"])
                if data == "b":
                    scores["corr_weighted"] = None
                made.append(
                    {"data": data, "n_prototypes": 9, "method": method, "seed": seed, "status": status} | scores
                )
    return pd.DataFrame(made)


def naive(rows: pd.DataFrame, methods: list[str], data: str, score: str) -> list[float]:
    """Return the rank of each method: one more than the methods that are better, and half of those that tie."""
    means = []
    for method in methods:
        mine = rows[(rows["data"] == data) & (rows["method"] == method) & (rows["status"] == "ok")][score].dropna()
        better = -mine.mean() if score == "size_cv" else mine.mean()
        means.append(better if len(mine) else -np.inf)
    return [1 + sum(b > a for b in means) + (sum(b == a for b in means) - 1) / 2 for a in means]


@pytest.mark.parametrize(("group", "methods"), [("integration", METHODS[:3]), ("metacells", METHODS)])
def test_ranks_are_those_of_a_loop(rows, group, methods):
    found = ranks.ranked(rows, group)
    pairs = [
        (data, score) for data in "abc" for score in ranks.GROUPS[group] if (data, score) != ("b", "corr_weighted")
    ]
    assert len(found) == len(pairs) * len(methods)
    for data, score in pairs:
        mine = found[(found["data"] == data) & (found["score"] == score)].set_index("method")["rank"]
        assert mine[methods].tolist() == naive(rows, methods, data, score)


def test_the_critical_difference_is_that_of_the_published_table():
    """Demsar (2006), table 5a: q is 1.960 for 2 methods and 3.164 for 10."""
    assert ranks.critical_difference(2, 1) == pytest.approx(1.960, abs=1e-3)
    assert ranks.critical_difference(10, 30) == pytest.approx(3.164 * np.sqrt(110 / 180), abs=1e-3)


def test_cliques_are_the_largest_groups_within_the_critical_difference():
    means = np.array([1.0, 1.5, 2.4, 2.6, 5.0])
    assert ranks.cliques(means, 1.0) == [(0, 1), (1, 2), (2, 3)]
    assert ranks.cliques(means, 1.5) == [(0, 2), (1, 3)]
    assert ranks.cliques(means, 0.1) == []
    assert ranks.cliques(means, 10) == [(0, 4)]


def test_tests_find_a_difference_that_is_there():
    better = pd.DataFrame([[1, 2, 3]] * 20)
    assert ranks.friedman(better)[0] < 1e-6
    balanced = pd.DataFrame([[1, 2, 3], [2, 3, 1], [3, 1, 2]])
    assert ranks.friedman(balanced)[0] == pytest.approx(1)


def test_folders_are_read_together_and_every_output_is_written(rows, tmp_path, monkeypatch, capsys):
    for name, part in {"old": rows[rows["data"] != "c"].assign(total=0.0), "new": rows[rows["data"] != "b"]}.items():
        (tmp_path / name).mkdir()
        part.to_csv(tmp_path / name / "scores.csv", index=False)
    folders = [tmp_path / "old", tmp_path / "new"]
    monkeypatch.setattr(sys, "argv", ["ranks.py", *map(str, folders), "--out", str(tmp_path / "out")])
    ranks.main()
    table = pd.read_csv(tmp_path / "out" / "ranks.csv")
    new = table[(table["data"] == "a") & (table["score"] == "total") & (table["method"] == "harmony")]
    expected = rows[(rows["data"] == "a") & (rows["method"] == "harmony")]["total"].mean()
    assert new["value"].tolist() == [pytest.approx(expected)]
    text = (tmp_path / "out" / "ranks.md").read_text()
    assert "Pairs of data set and score: 15. Friedman p =" in text
    assert text.strip() == capsys.readouterr().out.strip()
    assert (tmp_path / "out" / "ranks.png").read_bytes().startswith(b"\x89PNG")


def test_without_embeddings_only_metacells_are_ranked(rows, tmp_path, monkeypatch):
    rows.drop(columns=list(ranks.GROUPS["integration"])).to_csv(tmp_path / "scores.csv", index=False)
    monkeypatch.setattr(sys, "argv", ["ranks.py", str(tmp_path), "--out", str(tmp_path / "out")])
    ranks.main()
    assert set(pd.read_csv(tmp_path / "out" / "ranks.csv")["group"]) == {"metacells"}


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (lambda rows: rows[(rows["data"] != "a") | (rows["method"] != "scvi")], [], "no row of scvi for a, K = 9"),
        (lambda rows: rows, ["--methods", "scvi", "random"], "fewer than 3 methods"),
    ],
)
def test_bad_input_ends_in_one_sentence(rows, tmp_path, monkeypatch, change, options, sentence):
    monkeypatch.setattr(sys, "argv", ["ranks.py", str(tmp_path), *options])
    with pytest.raises(SystemExit, match=r"has no scores\.csv"):
        ranks.main()
    change(rows).to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(SystemExit, match=sentence):
        ranks.main()
