"""Neighbour graphs: embeddings in, lists of neighbours or a two-dimensional layout out."""

from .batches import MANY_BATCHES, alike_batches, some_of_each
from .knn import KnnGraph, mutual_neighbors, within_batch_neighbors
from .layout import umap_layout
from .search import nearest_others

__all__ = [
    "MANY_BATCHES",
    "KnnGraph",
    "alike_batches",
    "mutual_neighbors",
    "nearest_others",
    "some_of_each",
    "umap_layout",
    "within_batch_neighbors",
]
