"""Fit atlases whose batches differ in composition, and compare the scores with those of k-means on the PCA.

    python benchmarks/quality/composition.py --seeds 0 1 2 --out composition.csv

The scenarios are those of :func:`scproto.datasets.simulate_scenario`. Each seed sets both the atlas and the fit, which
uses the defaults of ``scproto fit``. k-means finds the same number of clusters in the PCA of ``scproto.pp.prepare``.
``focus_recall``, ``focus_mixed`` and ``focus_foreign`` are the ``recall``, ``mixed`` and ``foreign`` of
:func:`scproto.metrics.group_scores` for the cells of the unusual type or batch. ``absent`` is
:func:`scproto.metrics.absent_label_share`. Rows that the output already contains are not computed again. The printed
table gives mean and standard deviation over the seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd
from anndata import AnnData
from sklearn.cluster import KMeans

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import fit

import scproto
from scproto.datasets import simulate_scenario
from scproto.metrics import absent_label_share, group_scores, metacell_scores

SCENARIOS = ("missing_types", "private_type", "rare_type", "tiny_batch")
SCORES = ("n_metacells", "purity", "balanced_purity", "coverage", "batch_entropy")
KEYS = ["scenario", "n_cells", "max_steps"]


def assignments(adata: AnnData, seed: int, max_steps: int | None) -> Iterator[tuple[str, pd.Series]]:
    """Yield the name and the metacells of each method."""
    scproto.pp.prepare(adata, batch_key="batch", seed=seed)
    model = fit(adata, max_steps, seed=seed)
    scproto.tl.assign_metacells(adata, model)
    yield "scproto", adata.obs["metacell"].astype(str)
    kmeans = KMeans(len(model.prototypes), n_init=1, random_state=seed)
    yield "k-means", pd.Series(kmeans.fit_predict(adata.obsm["X_scproto_pca"]), adata.obs_names)


def score(assignment: pd.Series, adata: AnnData) -> dict[str, float]:
    """Score metacells against the true cell types."""
    labels, batches = adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    scores = metacell_scores(assignment, labels, batches)
    focus = group_scores(assignment, labels, adata.obs["focus"])
    return (
        {name: scores[name] for name in SCORES}
        | {f"focus_{name}": value for name, value in focus.items()}
        | {"absent": absent_label_share(assignment, labels, batches)}
    )


def main() -> None:
    """Score both methods on every scenario and seed."""
    parser = cli.parser(__doc__, "--seeds", "--max-steps", "--out", out=Path("composition.csv"))
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=SCENARIOS, metavar="NAME")
    parser.add_argument("--n-cells", type=int, default=15_000)
    given = parser.parse_args()
    keys = [*KEYS, "seed"]
    steps = "default" if given.max_steps is None else str(given.max_steps)
    rows = pd.read_csv(given.out, dtype={"max_steps": str}).to_dict("records") if given.out.exists() else []
    done = {tuple(row[key] for key in keys) for row in rows}
    for seed, scenario in product(given.seeds, given.scenarios):
        row = (scenario, given.n_cells, steps, seed)
        if row in done:
            continue
        adata = simulate_scenario(scenario, given.n_cells, seed=seed)
        for method, assignment in assignments(adata, seed, given.max_steps):
            rows.append(dict(zip(keys, row, strict=True)) | {"method": method} | score(assignment, adata))
        tables.write_csv(given.out, pd.DataFrame(rows))
    table = pd.DataFrame(rows).drop(columns="seed").groupby([*KEYS, "method"], sort=False).agg(["mean", "std"])
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
