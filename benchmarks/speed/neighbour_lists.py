"""Time and recall of the search for neighbours in an embedding, by number of lists, beside faiss's inverted file.

    python benchmarks/speed/neighbour_lists.py run/cells.h5ad

The file is one that ``scproto fit`` wrote; all of its cells are searched in all, as if they were of one batch. The time
is that of making the lists and of searching all cells, as share of that of the exact search, in one thread; recall is
the share of the 10 nearest that are found. With any number of lists scproto chooses how many of them to compare a cell
with; the first row of an embedding has its own number. faiss is told a number.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
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
OTHERS = (0.25, 0.5, 2.0, 4.0)
"""Numbers of lists beside scproto's own, in square roots of the cells."""
FAISS_LISTS, FAISS_PROBED = 2.0, (2, 4, 8, 16)


def searched(points: NDArray[np.float32], *, exact: bool) -> tuple[float, int, NDArray[np.int64]]:
    """Time to find the neighbours of all points, lists that each is compared with, and the neighbours."""
    start = perf_counter()
    search_ = Search(points, exact=exact)
    found = search_(points, N_NEIGHBORS)[0]
    return perf_counter() - start, search_.n_probed, found


def searched_by_faiss(points: NDArray[np.float32], n_probed: int) -> tuple[float, NDArray[np.int64]]:
    """The same by faiss's own inverted file."""
    start = perf_counter()
    n_lists, n_dims = round(FAISS_LISTS * len(points) ** 0.5), points.shape[1]
    centres = faiss.IndexFlatIP(n_dims)
    index = faiss.IndexIVFFlat(centres, n_dims, n_lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, search.TRAINED_BY
    index.train(points)
    index.add(points)
    index.nprobe = n_probed
    found = index.search(points, N_NEIGHBORS)[1]
    return perf_counter() - start, found


def share_found(truth: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Share of the true neighbours that are found, of some of the points."""
    some = np.linspace(0, len(truth) - 1, N_SAMPLED).astype(int)
    return float(np.mean([np.isin(truth[i], found[i]).mean() for i in some]))


def searches(points: NDArray[np.float32]) -> Iterator[tuple[str, float, int, float, NDArray[np.int64]]]:
    """Who searched, in how many lists, with how many a point was compared, the time and the neighbours."""
    for n_lists in (search.N_LISTS, *OTHERS):
        with patch.object(search, "N_LISTS", n_lists):
            seconds, n_probed, found = searched(points, exact=False)
        yield "scproto", n_lists, n_probed, seconds, found
    for n_probed in FAISS_PROBED:
        yield "faiss", FAISS_LISTS, n_probed, *searched_by_faiss(points, n_probed)


def main() -> None:
    """Print a row for each embedding and search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--key", nargs="+", default=["X_scproto_pca", "X_scproto"], help="embeddings in obsm")
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print("| embedding | search | lists, sqrt(n) | compared with | time | recall |\n| --- | --- " + "| ---: " * 4 + "|")
    cells = anndata.read_h5ad(arguments.cells, backed="r")
    for key in arguments.key:
        points = normalize(np.asarray(cells.obsm[key], np.float32))
        exact, _, truth = searched(points, exact=True)
        for who, n_lists, n_probed, seconds, found in searches(points):
            share = share_found(truth, found)
            print(f"| {key} | {who} | {n_lists:g} | {n_probed} | {seconds / exact:.3f} | {share:.4f} |")


if __name__ == "__main__":
    main()
