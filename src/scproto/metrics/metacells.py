"""Scores of a hard assignment of cells to metacells.

Most scores take a contingency table of cells from :func:`contingency`, with one row per metacell and one column per
label or batch (no row and no column is empty). :func:`metacell_scores` computes several scores at once.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .._errors import InputError

Table = NDArray[np.int64]


def contingency(assignment: ArrayLike, groups: ArrayLike) -> Table:
    """Count the cells of each group in each metacell.

    Parameters
    ----------
    assignment
        Metacell of each cell, ``(n_cells,)``, names or numbers.
    groups
        Label or batch of each cell, ``(n_cells,)``.

    Returns
    -------
    table : numpy.ndarray
        Number of cells, ``(n_metacells, n_groups)``. Rows and columns are sorted by name; only metacells and groups
        with cells appear.

    Raises
    ------
    InputError
        If the lengths differ, there is no cell, or a value is missing.
    """
    assignment, groups = np.asarray(assignment), np.asarray(groups)
    if assignment.ndim != 1 or assignment.shape != groups.shape:
        raise InputError(
            f"The assignment has shape {assignment.shape}, but the labels or batches have shape {groups.shape}: "
            "give one value of each per cell."
        )
    rows, row_names = pd.factorize(assignment, sort=True)
    columns, column_names = pd.factorize(groups, sort=True)
    missing = int(((rows < 0) | (columns < 0)).sum())
    if missing or not len(rows):
        raise InputError(
            f"{missing} of {len(rows)} cells lack a metacell, a label or a batch: score only the cells that have them."
        )
    shape = len(row_names), len(column_names)
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def purity(by_label: Table) -> float:
    """Share of cells that have the majority label of their metacell.

    Parameters
    ----------
    by_label
        Number of cells, ``(n_metacells, n_labels)``.

    Returns
    -------
    purity : float
        Purity in (0, 1]; 1 if no metacell mixes labels.
    """
    return float(by_label.max(axis=1).sum() / by_label.sum())


def balanced_purity(by_label: Table) -> float:
    """Purity of the metacells that each label leads, averaged over labels.

    A label leads a metacell if it is the most common one there; if labels tie, the first one leads. All labels have
    the same weight, so that the score shows when a rare type is lost in the metacells of a common one. A label that
    leads no metacell counts as 0.

    Parameters
    ----------
    by_label
        Number of cells, ``(n_metacells, n_labels)``.

    Returns
    -------
    purity : float
        Balanced purity in (0, 1].
    """
    led = _cells_led(by_label)
    return float(np.divide(led.diagonal(), led.sum(axis=1), out=np.zeros(len(led)), where=led.any(axis=1)).mean())


def coverage(by_label: Table) -> float:
    """Share of the labels that lead at least one metacell.

    Parameters
    ----------
    by_label
        Number of cells, ``(n_metacells, n_labels)``.

    Returns
    -------
    coverage : float
        Coverage in (0, 1].
    """
    return float(_cells_led(by_label).any(axis=1).mean())


def label_recall(by_label: Table) -> NDArray[np.float64]:
    """Share of each label's cells that are in a metacell led by this label.

    Parameters
    ----------
    by_label
        Number of cells, ``(n_metacells, n_labels)``.

    Returns
    -------
    recall : numpy.ndarray
        Recall of each label, ``(n_labels,)``, in [0, 1].
    """
    recall: NDArray[np.float64] = _cells_led(by_label).diagonal() / by_label.sum(axis=0)
    return recall


def batch_entropy(by_batch: Table) -> float:
    """Entropy of the batch shares in a metacell, averaged over cells.

    Parameters
    ----------
    by_batch
        Number of cells, ``(n_metacells, n_batches)``.

    Returns
    -------
    entropy : float
        Entropy in [0, 1]; see :func:`mixing_entropy`.
    """
    return float(np.average(mixing_entropy(by_batch), weights=by_batch.sum(axis=1)))


def mixing_entropy(by_batch: Table) -> NDArray[np.float64]:
    """Entropy of the batch shares in each metacell.

    All batches are first weighted to the same size, so that a large batch does not look like poor mixing. The entropy
    is divided by its maximum, log(n_batches).

    Parameters
    ----------
    by_batch
        Number of cells, ``(n_metacells, n_batches)``.

    Returns
    -------
    entropy : numpy.ndarray
        Entropies in [0, 1], ``(n_metacells,)``: 0 if the metacell has cells of one batch only, 1 if all batches have
        equal shares. With a single batch there is nothing to mix, and the entropy is 1.
    """
    n_metacells, n_batches = by_batch.shape
    if n_batches == 1:
        return np.ones(n_metacells)
    share = by_batch / by_batch.sum(axis=0)
    share = share / share.sum(axis=1, keepdims=True)
    log_share = np.log(share, out=np.zeros_like(share), where=share > 0)
    # rounding can lift equal shares slightly above the bound
    return np.clip(-(share * log_share).sum(axis=1) / np.log(n_batches), 0.0, 1.0)


def size_cv(sizes: ArrayLike) -> float:
    """Coefficient of variation of the metacell sizes: standard deviation over mean.

    Parameters
    ----------
    sizes
        Number of cells of each metacell, ``(n_metacells,)``, with a positive sum.

    Returns
    -------
    cv : float
        Coefficient, at least 0; 0 if all sizes are equal.
    """
    sizes = np.asarray(sizes)
    return float(sizes.std() / sizes.mean())


def metacell_scores(
    assignment: ArrayLike, labels: ArrayLike | None = None, batches: ArrayLike | None = None
) -> dict[str, float]:
    """Score a hard assignment of cells to metacells.

    Parameters
    ----------
    assignment
        Metacell of each cell, ``(n_cells,)``, names or numbers.
    labels
        Known label of each cell, ``(n_cells,)``. Without labels, the scores that need them are left out.
    batches
        Batch of each cell, ``(n_cells,)``. Without batches, ``batch_entropy`` is left out.

    Returns
    -------
    scores : dict of str to float
        ``n_metacells`` (metacells with at least one cell) and ``size_cv``; with labels also ``purity``,
        ``balanced_purity``, ``coverage``, ``recall_of_rarest`` (recall of the label with the fewest cells) and
        ``mean_label_recall`` (mean over labels); with batches also ``batch_entropy``.

    Raises
    ------
    InputError
        If the lengths differ, there is no cell, or a value is missing.
    """
    assignment = np.asarray(assignment)
    sizes = contingency(assignment, np.zeros(len(assignment), dtype=int)).sum(axis=1)
    scores: dict[str, float] = {"n_metacells": len(sizes)}
    if labels is not None:
        by_label = contingency(assignment, labels)
        recall = label_recall(by_label)
        scores |= {
            "purity": purity(by_label),
            "balanced_purity": balanced_purity(by_label),
            "coverage": coverage(by_label),
            "recall_of_rarest": float(recall[by_label.sum(axis=0).argmin()]),
            "mean_label_recall": float(recall.mean()),
        }
    if batches is not None:
        scores["batch_entropy"] = batch_entropy(contingency(assignment, batches))
    return {**scores, "size_cv": size_cv(sizes)}


def group_scores(assignment: ArrayLike, labels: ArrayLike, group: ArrayLike) -> dict[str, float]:
    """Score how well a group of cells stays with cells of the same label.

    The metacells consist of all cells, but only the cells of the group are scored, with equal weight.

    Parameters
    ----------
    assignment
        Metacell of each cell, ``(n_cells,)``, names or numbers.
    labels
        Known label of each cell, ``(n_cells,)``.
    group
        Whether each cell is scored, boolean ``(n_cells,)``; for example the cells of one label or of one batch.

    Returns
    -------
    scores : dict of str to float
        Three shares in [0, 1]. ``recall`` is the share of the group's cells that are in a metacell led by their label
        (if labels tie, the first one leads). ``mixed`` is the share that are in a metacell with any cell of another
        label. ``foreign`` is the share of other labels in a cell's metacell, averaged over the group.

    Raises
    ------
    InputError
        If the lengths differ, the group is empty, or a value is missing.
    """
    by_label = contingency(assignment, labels)
    group = np.asarray(group, dtype=bool)
    if group.shape != np.shape(assignment) or not group.any():
        raise InputError(
            f"The group has shape {group.shape} and contains {group.sum()} of {np.size(assignment)} cells: "
            "give one boolean per cell, at least one of them true."
        )
    rows, columns = (pd.factorize(np.asarray(values), sort=True)[0][group] for values in (assignment, labels))
    own = by_label[rows, columns] / by_label.sum(axis=1)[rows]
    return {
        "recall": float((by_label.argmax(axis=1)[rows] == columns).mean()),
        "mixed": float((own < 1).mean()),
        "foreign": float(1 - own.mean()),
    }


def absent_label_share(assignment: ArrayLike, labels: ArrayLike, batches: ArrayLike) -> float:
    """Share of cells in a metacell led by a label that is absent from the cell's batch.

    A high share indicates over-mixing: cells of a batch that lacks a label were merged with cells of that label.

    Parameters
    ----------
    assignment, labels, batches
        Metacell, label and batch of each cell, ``(n_cells,)`` each.

    Returns
    -------
    share : float
        Share in [0, 1]; 0 if every batch has every label.

    Raises
    ------
    InputError
        If the lengths differ, there is no cell, or a value is missing.
    """
    by_batch = contingency(assignment, batches)
    absent = contingency(labels, batches) == 0
    leading = contingency(assignment, labels).argmax(axis=1)
    return float(by_batch[absent[leading]].sum() / by_batch.sum())


def _cells_led(by_label: Table) -> Table:
    """Number of cells by leading label of their metacell (row) and own label (column), ``(n_labels, n_labels)``."""
    n_labels = by_label.shape[1]
    leads = np.eye(n_labels, dtype=by_label.dtype)[by_label.argmax(axis=1)]
    return leads.T @ by_label
