"""Which labels cost a run its scores: recall and mixing of the batches of each label.

    python benchmarks/quality/per_label.py run/cells.h5ad --batch-key batch --label-key cell_type

``bras`` is the part that scIB's score of that name averages over the labels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scib_metrics.utils import silhouette_samples

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli

from scproto.metrics import contingency, label_recall


def bras(unit: np.ndarray, batches: np.ndarray) -> float:
    """One minus the absolute silhouette of the batches, averaged over the batches; NaN with one batch."""
    codes = pd.factorize(batches)[0]
    if codes.max() == 0:
        return float("nan")
    score = 1 - np.abs(silhouette_samples(unit, codes, metric="cosine", between_cluster_distances="mean_other"))
    return float(np.mean([score[codes == b].mean() for b in np.unique(codes)]))


def main() -> None:
    """Print a row for each label, the rarest first."""
    parser = cli.parser(__doc__)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--batch-key", default="scproto_batch")
    parser.add_argument("--label-key", default="cell_type")
    arguments = parser.parse_args()
    adata = anndata.read_h5ad(arguments.cells)
    adata = adata[adata.obs[arguments.label_key].notna()]
    unit, labels = adata.obsm["X_scproto"], adata.obs[arguments.label_key].astype(str).to_numpy()
    batches = adata.obs[arguments.batch_key].astype(str).to_numpy()
    recall = label_recall(contingency(adata.obs["metacell"].astype(str), labels))
    rows = []
    for label, share in zip(np.unique(labels), recall, strict=True):
        cells = np.flatnonzero(labels == label)
        rows.append(
            {
                "label": label,
                "cells": len(cells),
                **{name: int((batches[cells] == name).sum()) for name in np.unique(batches)},
                "recall": share,
                "bras": bras(unit[cells], batches[cells]),
            }
        )
    print(pd.DataFrame(rows).sort_values("cells").round(2).to_string(index=False))


if __name__ == "__main__":
    main()
