"""What ``scproto.tl.check`` says of good and of broken metacells.

    python benchmarks/quality/check.py data/*.h5ad simulated --out check/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``; ``simulated`` is an atlas of
``scproto.datasets``. Fits: the defaults; 60 steps; 20 rounds of alignment, whatever each does; no integration, by
leaving the batch key out. Made of the labels: the types themselves; types merged in pairs (in the order in which they
occur); types exchanged for the next one in half of the batches. Of no integration: k-means of the PCA of all batches.
A model that is in the output already is not fitted again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from changes import fixed_rounds
from resolution import load
from sklearn.cluster import KMeans

import scproto

FITS: dict[str, dict[str, Any]] = {
    "default": {},
    "60 steps": {"max_steps": 60},
    "20 rounds of alignment": {"n_alignment": 20, "change": fixed_rounds},
    "not integrated": {"batch_key": None},
}


def fit(data: str, folder: Path, max_steps: int | None, constants: dict[str, Any]) -> scproto.SCPROTO:
    """Train a model, or read the one that is there."""
    if folder.exists():
        return scproto.SCPROTO.load(folder)
    constants = {"batch_key": "batch", "max_steps": max_steps} | constants
    batch_key, max_steps = constants.pop("batch_key"), constants.pop("max_steps")
    change = constants.pop("change", nullcontext)
    adata = load(data)
    if batch_key is None:
        scproto.pp.prepare(adata)
    scproto.SCPROTO.setup_anndata(adata)
    model = scproto.SCPROTO(adata, **constants)
    with change():
        model.train(max_steps, enable_progress_bar=False)
    model.save(folder)
    return model


def made(adata: anndata.AnnData) -> Iterator[tuple[str, np.ndarray]]:
    """Metacells made without a fit, by name."""
    kind, batch = pd.factorize(adata.obs["cell_type"])[0], pd.factorize(adata.obs["batch"])[0]
    yield "types", kind
    yield "types merged in pairs", kind // 2
    yield "types exchanged", np.where(batch > batch.max() // 2, (kind + 1) % (kind.max() + 1), kind)
    n_clusters = max(10, adata.n_obs // 75)
    yield "k-means of the PCA", KMeans(n_clusters, n_init=1, random_state=0).fit_predict(adata.obsm["X_scproto_pca"])


def describe(adata: anndata.AnnData) -> dict[str, Any]:
    """Numbers and verdict of the check, beside what the labels say."""
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
    """Print a row for each data set and way to make metacells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--fits", nargs="*", default=list(FITS), choices=list(FITS))
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--out", type=Path, default=Path("check"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for data in arguments.data:
        adata = load(data)
        for name in arguments.fits:
            model = fit(data, arguments.out / f"{Path(data).stem}_{name}", arguments.max_steps, FITS[name])
            scproto.tl.assign_metacells(adata, model)
            rows.append({"data": Path(data).stem, "metacells": name} | describe(adata))
        for name, metacell in made(adata):
            adata.obs["metacell"] = pd.Categorical(metacell.astype(str))
            adata.uns["scproto"]["n_metacells"] = metacell.max() + 1
            rows.append({"data": Path(data).stem, "metacells": name} | describe(adata))
        pd.DataFrame(rows).to_csv(arguments.out / "check.csv", index=False)
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
