"""Compare the stability of metacells against repeats of the last k-means with that against other trainings.

    python benchmarks/quality/stability.py data/*.h5ad --n-prototypes 60 NAME=150 --out stability/

Each file needs raw counts in ``X`` and an ``obs`` column ``batch``. A model is trained with each seed. The metacells of
each are compared with repeats of its last k-means, which ``scproto.tl.stability`` does by default, and with the
metacells of all other seeds (``others``, or ``scproto fit --seeds``). There is one row per file and level of the tree.
The columns are means over the seeds:

- ``agreement``: adjusted mutual information, against repeats and against trainings.
- ``overlap``: mean Jaccard overlap of the metacells, and ``dissolved``: the share of them where it is below 0.5.
- ``rank``: Spearman correlation over the metacells between the overlaps against repeats and against trainings;
  ``rank_again`` is that between two sets of repeats, which is the most that can be expected.
- ``unstable``: number of metacells that ``scproto.tl.check`` calls unstable from the repeats, and ``their_place``: the
  mean place of these among all metacells of the seed by overlap against trainings (0: lowest, 1: highest).
- ``share_of_fit``: processor time of the repeats, divided by that of the training.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import find_files, fit, load, numbers_of_files

import scproto

AGAIN = 1000
"""What is added to the seed for a second set of repeats."""


def against(adata: Any, name: str, model: scproto.SCPROTO, **others: Any) -> tuple[dict[str, float], pd.Series]:
    """Return agreement and overlaps with repeats or other models; the columns end in `name`."""
    overlap = scproto.tl.stability(adata, model, **others)
    found = {
        "agreement": adata.uns["scproto"]["stability"]["agreement"],
        "overlap": overlap.mean(),
        "dissolved": (overlap < 0.5).mean(),
    }
    return {f"{key}_{name}": value for key, value in found.items()}, overlap


def rank_correlation(first: pd.Series, second: pd.Series) -> float:
    """Return Spearman's correlation, or NaN if all overlaps are the same."""
    return first.corr(second, method="spearman") if min(first.nunique(), second.nunique()) > 1 else np.nan


def row_of_seed(adata: Any, models: list[scproto.SCPROTO], i: int, n: int | None) -> dict[str, float]:
    """Compare the metacells of one seed at a level with repeats and with the other seeds."""
    model, rest = models[i], [*models[:i], *models[i + 1 :]]
    scproto.tl.assign_metacells(adata, model, n)
    trained, by_training = against(adata, "trainings", model, others=rest)
    start = time.process_time()
    repeated, by_repeat = against(adata, "repeats", model)
    seconds = time.process_time() - start
    doubtful = scproto.tl.check(adata).doubtful
    unstable = by_training.index.isin(doubtful.index[doubtful["unstable"]])
    model.seed += AGAIN
    again = against(adata, "again", model)[1]
    model.seed -= AGAIN
    place = (by_training.rank() - 1) / max(1, len(by_training) - 1)
    return {
        **repeated,
        **trained,
        "rank": rank_correlation(by_repeat, by_training),
        "rank_again": rank_correlation(by_repeat, again),
        "unstable": unstable.sum(),
        "their_place": place[unstable].mean() if unstable.any() else np.nan,
        "seconds_repeats": seconds,
    }


def rows(given: Any, path: Path, n_prototypes: int) -> Iterator[dict[str, Any]]:
    """Yield one row per level of a data set."""
    with cli.one_sentence():
        adata = load(path)
    models, seconds = [], []
    for seed in given.seeds:
        start = time.process_time()
        models.append(fit(adata, given.max_steps, n_prototypes=n_prototypes, seed=seed))
        seconds.append(time.process_time() - start)
    for n in (None, *(level for level in given.levels if level < n_prototypes)):
        row = pd.DataFrame([row_of_seed(adata, models, i, n) for i in range(len(models))]).mean().to_dict()
        share = row.pop("seconds_repeats") / np.mean(seconds)
        yield {"data": path.stem, "level": n or n_prototypes, **row, "share_of_fit": share}


def main() -> None:
    """Print one row per data set and level."""
    parser = cli.parser(__doc__, "files", "--max-steps", "--seeds", "--n-prototypes", "--out", out=Path("stability"))
    parser.add_argument("--levels", nargs="*", type=int, default=[10], help="coarser levels (default: %(default)s)")
    given = parser.parse_args()
    if len(given.seeds) < 2:
        parser.error("give at least two seeds")
    with cli.one_sentence():
        files = find_files(given.files)
        numbers = numbers_of_files(given.n_prototypes, files)
    found = []
    for path in files:
        for row in rows(given, path, numbers[path.stem]):
            found.append(row)
            tables.write_csv(given.out / "stability.csv", pd.DataFrame(found))
    print(pd.DataFrame(found).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
