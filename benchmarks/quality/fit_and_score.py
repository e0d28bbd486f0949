"""Fit scproto with its defaults to labelled data sets and score what it made.

    python benchmarks/quality/fit_and_score.py data/*.h5ad --n-prototypes 60 --seeds 0 1 2 --out results/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Every fit is a whole
``scproto fit`` in a process of its own, scored by ``scproto evaluate``; a fit whose scores are there already is
not repeated. The results are ``scores.csv``, and the table on standard output. ``--scvi`` also trains
``scvi.model.SCVI`` for 200 epochs on the same cells and genes and gives the ratio of the times.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

INTEGRATION = ("total", "bio", "batch")
METACELLS = ("purity", "balanced_purity", "coverage", "mean_label_recall", "batch_entropy", "size_cv")
SCPROTO = (sys.executable, "-m", "scproto")


def fit(data: Path, out: Path, seed: int, n_prototypes: str) -> dict[str, float]:
    """Run ``scproto fit`` and ``scproto evaluate``; return the scores, the seconds and the peak memory."""
    run = out / f"{data.stem}_seed{seed}_k{n_prototypes}"
    scores = run / "scores.json"
    if not scores.exists():
        keys = ["--batch-key", "batch", "--label-key", "cell_type"]
        start = time.perf_counter()
        subprocess.run(
            [*SCPROTO, "fit", data, *keys, "--out", run, "--seed", str(seed), "--n-prototypes", n_prototypes],
            check=True,
        )
        seconds = time.perf_counter() - start
        subprocess.run([*SCPROTO, "evaluate", run / "cells.h5ad", *keys, "--out", scores], check=True)
        scores.write_text(json.dumps(json.loads(scores.read_text()) | {"seconds": seconds}))
    result = json.loads(scores.read_text())
    record = json.loads((run / "run.json").read_text())
    flat = {**result["integration"], **result["metacells"]}
    row = {name: flat.get(name) for name in (*INTEGRATION, *METACELLS)}
    return row | {
        "n_metacells": flat["n_metacells"],
        "seconds": result["seconds"],
        "training_seconds": record["timings"]["Training"],
        "peak_memory_mib": record["peak_memory_mib"],
    }


def scvi_seconds(data: Path, run: Path) -> float:
    """Seconds that 200 epochs of scVI take on the genes that scproto chose, settings otherwise its own."""
    import anndata
    import scvi

    cells = anndata.read_h5ad(run / "cells.h5ad")
    cells = anndata.AnnData(cells.X[:, cells.var["scproto_gene"].to_numpy()], obs=cells.obs[["batch"]])
    scvi.model.SCVI.setup_anndata(cells, batch_key="batch")
    model = scvi.model.SCVI(cells)
    start = time.perf_counter()
    model.train(max_epochs=200, accelerator="cpu")
    return time.perf_counter() - start


def main() -> None:
    """Fit, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--n-prototypes", default="auto")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--scvi", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for data in arguments.data:
        for seed in arguments.seeds:
            row = fit(data, arguments.out, seed, arguments.n_prototypes)
            if arguments.scvi:
                run = arguments.out / f"{data.stem}_seed{seed}_k{arguments.n_prototypes}"
                row["scvi_seconds"] = scvi_seconds(data, run)
                row["times_faster"] = row["scvi_seconds"] / row["seconds"]
            rows.append({"data": data.stem, "seed": seed, **row})
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out / "scores.csv", index=False)
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
