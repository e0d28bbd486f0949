"""Apply ``scproto.tl.check`` to good and to broken metacells.

    python benchmarks/quality/check.py data/*.h5ad simulated --out check/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``; ``simulated`` is an atlas of
``scproto.datasets``. There are three fits: the defaults, 60 steps, and no integration (without the batch key). Three
sets of metacells come from the labels: the types themselves; types merged in pairs, in the order in which they occur;
and types exchanged for the next one in half of the batches. One is k-means on the PCA of all batches, without
integration. A model that the output already contains is not fitted again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import fit, load

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
    found = scproto.tl.check(adata)
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
        "verdict": " and ".join(words) or "good",
    }


def main() -> None:
    """Print one row per data set and set of metacells."""
    parser = cli.parser(__doc__, "data", "--max-steps", "--out", out=Path("check"))
    parser.add_argument("--fits", nargs="*", default=list(FITS), choices=list(FITS))
    given = parser.parse_args()
    rows = []
    for data in given.data:
        stem = Path(data).stem
        with cli.one_sentence():
            adata = load(data)
        for name in given.fits:
            settings = {"batch_key": "batch", "max_steps": given.max_steps} | FITS[name]
            model = fit(load(data, settings["batch_key"]), settings["max_steps"], given.out / f"{stem}_{name}")
            scproto.tl.assign_metacells(adata, model)
            rows.append({"data": stem, "metacells": name} | describe(adata))
        for name, metacell in made(adata):
            adata.obs["metacell"] = pd.Categorical(metacell.astype(str))
            adata.uns["scproto"]["n_metacells"] = metacell.max() + 1
            rows.append({"data": stem, "metacells": name} | describe(adata))
        tables.write_csv(given.out / "check.csv", pd.DataFrame(rows))
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
