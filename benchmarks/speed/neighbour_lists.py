"""Time and recall of the search for neighbours in an embedding, by number of lists and of those looked into.

    python benchmarks/speed/neighbour_lists.py run/cells.h5ad

The file is one that ``scproto fit`` wrote; all of its cells are searched in all, as if they were of one batch. The time
is that of building the lists and of searching all cells, as share of that of the exact search, in one thread; recall is
the share of the 10 nearest that are found. The first row of an embedding is what scproto does: it chooses the number of
lists to look into by the recall of a sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import anndata
import faiss
import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from scproto.graph import search
from scproto.graph.search import Search

N_NEIGHBORS, N_SAMPLED = 10, 2000
OTHERS = [(n_lists, (n_probed,)) for n_lists in (1.0, 2.0, 4.0) for n_probed in (2, 4, 8, 16)]


def measured(points: NDArray[np.float32], *, exact: bool) -> tuple[float, int, float]:
    """Time to find the neighbours of all points, lists that were looked into, and the share of the true neighbours."""
    start = perf_counter()
    of_all = Search(points, exact=exact)
    of_all(points, N_NEIGHBORS)
    return perf_counter() - start, of_all.n_probed, of_all.recall(points, N_NEIGHBORS, N_SAMPLED)


def main() -> None:
    """Print a row for each embedding and setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--key", nargs="+", default=["X_scproto_pca", "X_scproto"], help="embeddings in obsm")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print("| embedding | cells | lists, sqrt(n) | looked into | time | recall |\n| --- " + "| ---: " * 5 + "|")
    cells = anndata.read_h5ad(arguments.cells, backed="r")
    for key in arguments.key:
        points = normalize(np.asarray(cells.obsm[key], np.float32))
        exact, *_ = measured(points, exact=True)
        for n_lists, numbers in ((search.N_LISTS, search.N_PROBED), *OTHERS):
            with patch.multiple(search, N_LISTS=n_lists, N_PROBED=numbers):
                taken, n_probed, recall = measured(points, exact=False)
            print(f"| {key} | {len(points):,} | {n_lists:g} | {n_probed} | {taken / exact:.3f} | {recall:.4f} |")


if __name__ == "__main__":
    main()
