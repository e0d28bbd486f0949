"""Neighbour graphs: embeddings in, padded tables of indices out."""

from .knn import KnnGraph, mutual_neighbors, within_batch_neighbors
from .search import nearest, nearest_others

__all__ = ["KnnGraph", "mutual_neighbors", "nearest", "nearest_others", "within_batch_neighbors"]
