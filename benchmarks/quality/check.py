"""Apply ``scproto.tl.check`` to good and to broken metacells.

    python benchmarks/quality/check.py data/*.h5ad simulated --out check/
    python benchmarks/quality/check.py data/*.h5ad --fits --split 60
    python benchmarks/quality/check.py --points 1000000 200 1000

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``; ``simulated`` is an atlas of
``scproto.datasets``. There are three fits: the defaults, 60 steps, and no integration (without the batch key). Three
sets of metacells come from the labels: the types themselves; types merged in pairs, in the order in which they occur;
and types exchanged for the next one in half of the batches. One is k-means on the PCA of all batches, without
integration. A model that the output already contains is not fitted again.

``--split`` divides each batch at random into batches of about that many cells, after the fit. A check that does not
depend on the number of batches gives about the same figures with and without it. ``--points`` adds a simulated PCA of
the given numbers of cells and batches, with the given number of good and broken metacells.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import fit, load
from lab.points import metacells_of_points, simulate_points

import scproto

FITS: dict[str, dict[str, Any]] = {
    "default": {},
    "60 steps": {"max_steps": 60},
    "not integrated": {"batch_key": None},
}


def made(adata: anndata.AnnData) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the metacells of each way that needs no fit."""
    kind, batch = pd.factorize(adata.obs["cell_type"])[0], pd.factorize(adata.obs["batch"])[0]
    yield "types", kind
    yield "types merged in pairs", kind // 2
    yield "types exchanged", np.where(batch > batch.max() // 2, (kind + 1) % (kind.max() + 1), kind)
    n_clusters = max(10, adata.n_obs // 75)
    yield "k-means of the PCA", KMeans(n_clusters, n_init=1, random_state=0).fit_predict(adata.obsm["X_scproto_pca"])


def describe(adata: anndata.AnnData) -> dict[str, Any]:
    """Return the figures and the verdict of the check, together with scores by the labels."""
    start = time.perf_counter()
    found = scproto.tl.check(adata)
    seconds = time.perf_counter() - start
    labels, batches = adata.obs["cell_type"].astype(str), adata.obs["batch"].astype(str)
    scores = scproto.metrics.metacell_scores(adata.obs["metacell"].astype(str), labels, batches)
    words = [word for word, so in (("over", found.over_mixed), ("under", found.under_mixed)) if so]
    return {
        "balanced_purity": scores["balanced_purity"],
        "batch_entropy": scores["batch_entropy"],
        "structure_kept": found.structure_kept,
        "disagreement": found.disagreement,
        "apart": found.apart,
        "doubtful": len(found.doubtful),
        "seconds": seconds,
        "verdict": " and ".join(words) or "good",
    }


def assign(adata: anndata.AnnData, metacell: np.ndarray) -> None:
    """Give the cells metacells that come from no fit: all cells are sure, none is an outlier."""
    adata.obs["metacell"] = pd.Categorical(metacell.astype(str))
    adata.obs["metacell_confidence"], adata.obs["metacell_outlier"] = 1.0, False
    adata.uns["scproto"]["n_metacells"] = len(np.unique(metacell))


def split(adata: anndata.AnnData, n_cells: int) -> None:
    """Divide each batch at random into batches of about `n_cells` cells."""
    codes = pd.factorize(adata.obs["batch"])[0]
    number = np.maximum(1, np.bincount(codes) // n_cells)
    part = np.random.default_rng(0).integers(0, number[codes])
    adata.obs["scproto_batch"] = pd.Categorical([f"{code}.{i}" for code, i in zip(codes, part, strict=True)])


def rows_of_data(given: Any, data: str) -> Iterator[dict[str, Any]]:
    """Yield one row per set of metacells of a data set."""
    stem = Path(data).stem
    with cli.one_sentence():
        adata = load(data)
    for name in given.fits:
        settings = {"batch_key": "batch", "max_steps": given.max_steps} | FITS[name]
        model = fit(load(data, settings["batch_key"]), settings["max_steps"], given.out / f"{stem}_{name}")
        scproto.tl.assign_metacells(adata, model)
        if given.split:
            split(adata, given.split)
        yield {"data": stem, "metacells": name} | describe(adata)
    if given.split:
        split(adata, given.split)
    for name, metacell in made(adata):
        assign(adata, metacell)
        yield {"data": stem, "metacells": name} | describe(adata)


def rows_of_points(n_cells: int, n_batches: int, n_metacells: int) -> Iterator[dict[str, Any]]:
    """Yield one row per set of metacells of simulated points."""
    adata = simulate_points(n_cells, n_batches)
    for name, metacell in metacells_of_points(adata, n_metacells):
        assign(adata, metacell)
        yield {"data": f"{n_cells} points", "metacells": name} | describe(adata)


def main() -> None:
    """Print one row per data set and set of metacells."""
    parser = cli.parser(__doc__, "--max-steps", "--out", out=Path("check"))
    parser.add_argument("data", **cli.ARGUMENTS["data"] | {"nargs": "*"})
    parser.add_argument("--fits", nargs="*", default=list(FITS), choices=list(FITS))
    parser.add_argument("--split", type=int, metavar="CELLS", help="number of cells per batch (default: as they are)")
    sizes = ("CELLS", "BATCHES", "METACELLS")
    parser.add_argument("--points", nargs=3, type=int, metavar=sizes, help="sizes of a simulated PCA (default: none)")
    given = parser.parse_args()
    if not given.data and not given.points:
        parser.error("give data or --points")
    found = [rows_of_data(given, data) for data in given.data]
    if given.points:
        found.append(rows_of_points(*given.points))
    rows = []
    for row in chain.from_iterable(found):
        rows.append(row)
        tables.write_csv(given.out / "check.csv", pd.DataFrame(rows))
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
