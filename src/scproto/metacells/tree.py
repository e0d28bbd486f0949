"""Tree of the prototypes, which gives metacells at any resolution from one fit."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import InputError


@dataclass(frozen=True)
class Level:
    """A cut through the tree of the prototypes.

    Attributes
    ----------
    group
        Metacell of each prototype, ``(n_prototypes,)``. Metacells are numbered in the order of their first prototypes.
    names
        Name of each metacell, ``(n_metacells,)``: ``metacell_<i>`` at the finest level, where ``i`` is the prototype,
        and ``metacell_<i>_of_<n>`` at coarser levels.
    """

    group: NDArray[np.int64]
    names: list[str]


def cut(prototypes: NDArray[np.float32], n: int | None = None) -> Level:
    """Group the prototypes into ``n`` metacells.

    The tree is the Ward linkage of all prototypes, with or without cells, and all have the same weight. So a level does
    not depend on the cells, and the prototypes of a rare population do not merge early only because they have few
    cells.

    Parameters
    ----------
    prototypes
        Unit vectors, ``(n_prototypes, n_latent)``.
    n
        Number of metacells, from 1 to ``n_prototypes``; by default, each prototype is a metacell.

    Returns
    -------
    level : Level
        Metacell of each prototype, and names.

    Raises
    ------
    InputError
        If `n` is not a whole number from 1 to ``n_prototypes``.
    """
    from scipy.cluster.hierarchy import cut_tree

    n_prototypes = len(prototypes)
    if n is None:
        n = n_prototypes
    if isinstance(n, bool) or not isinstance(n, Integral) or not 1 <= n <= n_prototypes:
        raise InputError(
            f"The tree of this model has no level with n={n!r} metacells: choose a whole number from 1 to "
            f"{n_prototypes}, its number of prototypes."
        )
    if n == n_prototypes:
        return Level(np.arange(n_prototypes), [f"metacell_{i}" for i in range(n_prototypes)])
    group = pd.factorize(cut_tree(ward_tree(prototypes), n_clusters=n).ravel())[0].astype(np.int64)
    return Level(group, [f"metacell_{i}_of_{n}" for i in range(n)])


def pool(values: NDArray[np.float32], group: NDArray[np.int64], mass: NDArray[np.integer]) -> NDArray[np.float32]:
    """Average values over the prototypes of each metacell.

    Parameters
    ----------
    values
        One row per prototype, ``(n_prototypes, n_columns)``.
    group
        Metacell of each prototype, ``(n_prototypes,)``.
    mass
        Weight of each prototype, which is its number of cells, ``(n_prototypes,)``. If a metacell has no cells, its
        prototypes have equal weights.

    Returns
    -------
    pooled : numpy.ndarray
        Weighted means, ``(n_metacells, n_columns)``.
    """
    weight = np.where(np.bincount(group, mass)[group] > 0, mass, 1).astype(np.float64)
    weight /= np.bincount(group, weight)[group]
    member = np.zeros((int(np.max(group)) + 1, len(group)), dtype=np.float32)
    member[group, np.arange(len(group))] = weight
    return member @ values


def ward_tree(prototypes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the Ward linkage of the prototypes in SciPy's format, ``(n_prototypes - 1, 4)``."""
    from scipy.cluster.hierarchy import linkage

    return linkage(prototypes, method="ward") if len(prototypes) > 1 else np.empty((0, 4))


def contract_tree(tree: NDArray[np.float64], row: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn the tree of the prototypes into the tree of the rows of a table.

    Parameters
    ----------
    tree
        Linkage of the prototypes, ``(n_prototypes - 1, 4)``.
    row
        Row of each prototype, ``(n_prototypes,)``; -1 if it has none. Prototypes of the same row must merge with each
        other before they merge with any others.

    Returns
    -------
    contracted : numpy.ndarray
        Linkage of the rows at the same heights, ``(n_rows - 1, 4)``.
    """
    n_rows = int(np.max(row)) + 1
    node, size = list(row), [1] * n_rows
    merges: list[tuple[Any, ...]] = []
    for left, right, height, _ in tree:
        a, b = sorted((node[int(left)], node[int(right)]))
        if a < 0 or a == b:
            node.append(b)
            continue
        node.append(len(size))
        size.append(size[a] + size[b])
        merges.append((a, b, height, size[-1]))
    return np.array(merges, dtype=np.float64).reshape(-1, 4)


def tree_parents(tree: NDArray[np.float64], n_leaves: int) -> NDArray[np.int64]:
    """Find the node that each leaf merges into, in SciPy's numbering, ``(n_leaves,)``; -1 if it never merges."""
    parent = np.full(n_leaves, -1)
    for node, children in enumerate(tree[:, :2].astype(int), start=n_leaves):
        parent[children[children < n_leaves]] = node
    return parent


def tree_members(tree: NDArray[np.float64], n_leaves: int) -> NDArray[np.bool_]:
    """Mark the leaves below each node, ``(n_nodes, n_leaves)``. Merges follow the leaves, in SciPy's numbering."""
    members = np.eye(n_leaves + len(tree), n_leaves, dtype=bool)
    for node, (left, right) in enumerate(tree[:, :2].astype(int), start=n_leaves):
        members[node] = members[left] | members[right]
    return members
