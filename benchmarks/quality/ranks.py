"""Rank the methods over the data sets and scores of one or several results folders of ``compare.py``.

    python benchmarks/quality/ranks.py results/ unseen_results/ --out ranks/

Each score is averaged over the successful seeds. The methods are then ranked for every pair of data set and score, 1
for the best; ties share their mean rank. A method without a result, because its runs failed, shares the last rank. A
pair for which no method has a score does not count. ``integration`` ranks methods that have an embedding by the scores
of embeddings, and ``metacells`` ranks all methods by the scores of metacells.

The output is ``ranks.csv`` with one row per method and pair, ``ranks.md`` with the mean ranks, and ``ranks.png``, a
critical-difference diagram (Demsar, Journal of Machine Learning Research 2006) in which vertical bars join methods that
do not differ. The Friedman test asks whether all
methods have the same mean rank; the Nemenyi test calls two methods different at the 5 % level if their mean ranks
differ by at least the critical difference. Both take the pairs as independent, but scores of the same data set are
related. So the tables also give p and critical difference with data sets instead of pairs, which is conservative.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, studentized_range

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.processes import OK
from methods import METHODS

from scproto._errors import InputError
from scproto._files import atomic_path

GROUPS = {
    "integration": ("total", "bio", "batch", "corr_weighted"),
    "metacells": ("purity", "balanced_purity", "batch_entropy", "mean_label_recall", "size_cv"),
}
"""Scores that each ranking takes."""

LOWER_IS_BETTER = ("size_cv",)

LEVEL = 0.05
"""Significance level of the critical difference."""

MIN_METHODS = 3
"""Number of methods that a ranking needs; one with fewer is left out."""

PAIR = ["data", "n_prototypes", "score"]
"""Columns that identify a pair of data set and score."""


def read(folders: Iterable[Path], methods: Iterable[str] | None) -> pd.DataFrame:
    """Read the rows of all runs, or those of some methods; a later folder replaces a run of an earlier one.

    Raises
    ------
    InputError
        If a folder has no scores, or a method has no row for one of the data sets.
    """
    parts = []
    for folder in folders:
        if not (folder / "scores.csv").exists():
            raise InputError(f"{folder} has no scores.csv: give results folders of compare.py.")
        parts.append(pd.read_csv(folder / "scores.csv"))
    keys = ["data", "n_prototypes", "method"]
    rows = pd.concat(parts).drop_duplicates([*keys, "seed"], keep="last", ignore_index=True)
    if methods is not None:
        rows = rows[rows["method"].isin(methods)]
    runs = rows.groupby(keys).size().unstack()
    for method in runs:
        if (missing := runs.index[runs[method].isna()]).size:
            name, k = missing[0]
            raise InputError(f"There is no row of {method} for {name}, K = {k}: run it, or choose with --methods.")
    return rows


def ranked(rows: pd.DataFrame, group: str) -> pd.DataFrame:
    """Return the mean scores and ranks of a group, one row per method and pair."""
    scores = [name for name in GROUPS[group] if name in rows]
    values = rows[scores].where(rows["status"] == OK)
    means = values.groupby([rows["data"], rows["n_prototypes"], rows["method"]]).mean()
    table = means.rename_axis("score", axis=1).stack(future_stack=True).unstack("method").dropna(how="all")
    if group == "integration":
        table = table.dropna(axis=1, how="all")
    signs = np.where(table.index.get_level_values("score").isin(LOWER_IS_BETTER), 1, -1)
    ranks = table.mul(signs, axis=0).rank(axis=1, na_option="bottom")
    both = pd.DataFrame({"value": table.stack(future_stack=True), "rank": ranks.stack(future_stack=True)})
    return both.reset_index()


def friedman(ranks: pd.DataFrame) -> tuple[float, float]:
    """Return p of the Friedman test and the critical difference for ranks ``(n_blocks, n_methods)``."""
    n_blocks, n_methods = ranks.shape
    return float(friedmanchisquare(*ranks.to_numpy().T).pvalue), critical_difference(n_methods, n_blocks)


def critical_difference(n_methods: int, n_blocks: int) -> float:
    """Return the critical difference of the Nemenyi test."""
    q = studentized_range.ppf(1 - LEVEL, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_blocks)))


def cliques(means: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Return first and last position of the largest groups in sorted mean ranks that do not differ."""
    ends = [int(np.flatnonzero(means - mean < difference)[-1]) for mean in means]
    return [(i, end) for i, end in enumerate(ends) if end > i and end not in ends[:i]]


def markdown(found: pd.DataFrame) -> str:
    """Return the mean ranks of one group as a table, followed by the tests."""
    by_pair = found.pivot(index=PAIR, columns="method", values="rank")
    means = by_pair.mean().sort_values()
    by_score = by_pair.groupby("score").mean().loc[found["score"].unique()]
    by_data = by_pair.groupby(["data", "n_prototypes"]).mean()
    lines = [[name, f"{means[name]:.2f}", *(f"{rank:.2f}" for rank in by_score[name])] for name in means.index]
    texts = [tables.markdown(["method", "mean rank", *by_score.index], lines)]
    for blocks, what in ((by_pair, "Pairs of data set and score"), (by_data, "Data sets")):
        p, difference = friedman(blocks)
        texts.append(f"{what}: {len(blocks)}. Friedman p = {p:.2g}, critical difference {difference:.2f}")
    return "\n\n".join(texts)


def texts(everything: pd.DataFrame) -> str:
    """Return the tables of all groups, each under its name."""
    parts = everything.groupby("group", sort=False)
    return "\n\n".join(f"**{group}**\n\n{markdown(part)}" for group, part in parts)


def draw(found: pd.DataFrame, axes: plt.Axes, title: str) -> None:
    """Draw the mean ranks of one group; vertical bars join methods that do not differ."""
    by_pair = found.pivot(index=PAIR, columns="method", values="rank")
    means = by_pair.mean().sort_values()
    difference = critical_difference(len(means), len(by_pair))
    places = np.arange(len(means))
    axes.hlines(places, 1, means, color="0.85", linewidth=1)
    axes.plot(means, places, "o", color="C0")
    for i, (first, last) in enumerate(cliques(means.to_numpy(), difference)):
        axes.vlines(len(means) + 0.4 + 0.3 * i, first - 0.15, last + 0.15, color="0.2", linewidth=3)
    axes.hlines(-1, 1, 1 + difference, color="C3", linewidth=2)
    axes.text(1 + difference, -1, f"  critical difference {difference:.2f}", color="C3", va="center", fontsize=8)
    axes.set_yticks(places, [METHODS[name].title if name in METHODS else name for name in means.index])
    axes.set(xlabel="mean rank (1 is best)", title=title, ylim=(len(means) - 0.4, -1.6))
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    """Write the ranks and draw them."""
    parser = cli.parser(__doc__, "--out", out=Path("ranks"))
    parser.add_argument("results", nargs="+", type=Path, help="results folders of compare.py")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="methods to rank (default: all)")
    given = parser.parse_args()
    with cli.one_sentence():
        rows = read(given.results, given.methods)
        found = {group: ranked(rows, group) for group in GROUPS}
        found = {group: part for group, part in found.items() if part["method"].nunique() >= MIN_METHODS}
        if not found:
            raise InputError(f"There are fewer than {MIN_METHODS} methods: a ranking needs more.")
    everything = pd.concat([part.assign(group=group) for group, part in found.items()])
    tables.write_csv(given.out / "ranks.csv", everything[["group", *PAIR, "method", "value", "rank"]])
    text = texts(everything)
    (given.out / "ranks.md").write_text(f"{text}\n", encoding="utf-8")
    figure, panels = plt.subplots(1, len(found), figsize=(5.5 * len(found), 5), layout="constrained", squeeze=False)
    for (group, part), axes in zip(found.items(), panels[0], strict=True):
        draw(part, axes, group)
    with atomic_path(given.out / "ranks.png") as path:
        figure.savefig(path, dpi=200, format="png")
    plt.close(figure)
    print(text)


if __name__ == "__main__":
    main()
