"""Neighbour graphs: embeddings in, lists of neighbours or a two-dimensional layout out."""

from .batches import alike_batches
from .knn import KnnGraph, mutual_neighbors, within_batch_neighbors
from .layout import umap_layout
from .search import nearest_others

__all__ = ["KnnGraph", "alike_batches", "mutual_neighbors", "nearest_others", "umap_layout", "within_batch_neighbors"]
