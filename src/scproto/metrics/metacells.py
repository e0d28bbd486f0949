"""Scores of a hard assignment of cells to metacells.

The single scores work on a contingency table of counts: one row a metacell, one column a label or a batch, as
:func:`contingency` makes it (no row and no column is empty). :func:`metacell_scores` gives them all at once.
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
    Counts ``(n_metacells, n_groups)``. Rows and columns are sorted by name. Only metacells and groups that
    hold a cell appear.

    Raises
    ------
    InputError
        If the lengths differ, there is no cell, or a value is missing.
    """
    assignment, groups = np.asarray(assignment), np.asarray(groups)
    if assignment.ndim != 1 or assignment.shape != groups.shape:
        raise InputError(
            f"The assignment has shape {assignment.shape} and the labels or batches have {groups.shape}: "
            "give one value of each for every cell."
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
    """Share of cells that carry the majority label of their metacell.

    Parameters
    ----------
    by_label
        Counts ``(n_metacells, n_labels)``.

    Returns
    -------
    Purity in (0, 1]; 1 if no metacell mixes labels.
    """
    return float(by_label.max(axis=1).sum() / by_label.sum())


def balanced_purity(by_label: Table) -> float:
    """Purity of the metacells that each label leads, averaged over labels.

    Every label weighs the same, so that a rare type lost in the metacells of a common one shows. A label
    that leads no metacell counts 0. Of labels that tie, the first leads.

    Parameters
    ----------
    by_label
        Counts ``(n_metacells, n_labels)``.

    Returns
    -------
    Balanced purity in (0, 1].
    """
    led = _cells_led(by_label)
    return float(np.divide(led.diagonal(), led.sum(axis=1), out=np.zeros(len(led)), where=led.any(axis=1)).mean())


def coverage(by_label: Table) -> float:
    """Share of the labels that lead at least one metacell.

    Parameters
    ----------
    by_label
        Counts ``(n_metacells, n_labels)``.

    Returns
    -------
    Coverage in (0, 1].
    """
    return float(_cells_led(by_label).any(axis=1).mean())


def label_recall(by_label: Table) -> NDArray[np.float64]:
    """For each label, the share of its cells that sit in a metacell which the label leads.

    Parameters
    ----------
    by_label
        Counts ``(n_metacells, n_labels)``.

    Returns
    -------
    Recall of each label, ``(n_labels,)``, in [0, 1].
    """
    recall: NDArray[np.float64] = _cells_led(by_label).diagonal() / by_label.sum(axis=0)
    return recall


def batch_entropy(by_batch: Table) -> float:
    """Entropy of the batch shares in a metacell, averaged over cells.

    Parameters
    ----------
    by_batch
        Counts ``(n_metacells, n_batches)``.

    Returns
    -------
    Entropy in [0, 1]; see :func:`mixing_entropy`.
    """
    return float(np.average(mixing_entropy(by_batch), weights=by_batch.sum(axis=1)))


def mixing_entropy(by_batch: Table) -> NDArray[np.float64]:
    """Entropy of the batch shares in each metacell.

    Each batch is weighted to the same size first, so that a large batch does not pass for poor mixing. The
    entropy is divided by its largest value, log(n_batches).

    Parameters
    ----------
    by_batch
        Counts ``(n_metacells, n_batches)``.

    Returns
    -------
    Entropies in [0, 1], ``(n_metacells,)``: 0 if the metacell holds one batch, 1 if all batches are alike in
    it. With a single batch there is nothing to mix, and the entropy is 1.
    """
    n_metacells, n_batches = by_batch.shape
    if n_batches == 1:
        return np.ones(n_metacells)
    share = by_batch / by_batch.sum(axis=0)
    share = share / share.sum(axis=1, keepdims=True)
    log_share = np.log(share, out=np.zeros_like(share), where=share > 0)
    # Equal shares may sum to a hair above the bound.
    return np.clip(-(share * log_share).sum(axis=1) / np.log(n_batches), 0.0, 1.0)


def size_cv(sizes: ArrayLike) -> float:
    """Coefficient of variation of the metacell sizes: standard deviation over mean.

    Parameters
    ----------
    sizes
        Number of cells of each metacell, ``(n_metacells,)``, with a positive sum.

    Returns
    -------
    The coefficient, at least 0; 0 if all sizes are the same.
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
        Known label of each cell, ``(n_cells,)``. Without it the scores that need labels are left out.
    batches
        Batch of each cell, ``(n_cells,)``. Without it ``batch_entropy`` is left out.

    Returns
    -------
    ``n_metacells`` (metacells with at least one cell) and ``size_cv``; with labels ``purity``,
    ``balanced_purity``, ``coverage``, ``recall_of_rarest`` (recall of the label with the fewest cells) and
    ``mean_label_recall`` (mean over labels); with batches ``batch_entropy``.

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
    """Score how far some of the cells keep to their own label.

    All cells make up the metacells; only those of the group are scored, each alike.

    Parameters
    ----------
    assignment
        Metacell of each cell, ``(n_cells,)``, names or numbers.
    labels
        Known label of each cell, ``(n_cells,)``.
    group
        Whether a cell is scored, ``(n_cells,)``: those of one label or of one batch, say.

    Returns
    -------
    Three shares in [0, 1]. ``recall``: of the group's cells, those in a metacell that their label leads (of
    labels that tie, the first leads). ``mixed``: those in a metacell that holds any cell of another label.
    ``foreign``: share of other labels in the metacell of a cell of the group, on average.

    Raises
    ------
    InputError
        If the lengths differ, the group is empty, or a value is missing.
    """
    by_label = contingency(assignment, labels)
    group = np.asarray(group, dtype=bool)
    if group.shape != np.shape(assignment) or not group.any():
        raise InputError(
            f"The group has shape {group.shape} and {group.sum()} of {np.size(assignment)} cells: "
            "say for every cell whether it is in it, and put one in at least."
        )
    rows, columns = (pd.factorize(np.asarray(values), sort=True)[0][group] for values in (assignment, labels))
    own = by_label[rows, columns] / by_label.sum(axis=1)[rows]
    return {
        "recall": float((by_label.argmax(axis=1)[rows] == columns).mean()),
        "mixed": float((own < 1).mean()),
        "foreign": float(1 - own.mean()),
    }


def absent_label_share(assignment: ArrayLike, labels: ArrayLike, batches: ArrayLike) -> float:
    """Share of cells in a metacell led by a label that their batch has no cell of.

    Shows a mixing of batches that goes too far: a batch that lacks a label was put upon it.

    Parameters
    ----------
    assignment, labels, batches
        Metacell, label and batch of each cell, ``(n_cells,)`` each.

    Returns
    -------
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
    """Cells by the label that leads their metacell (row) and by their own label (column), ``(n_labels, n_labels)``."""
    n_labels = by_label.shape[1]
    leads = np.eye(n_labels, dtype=by_label.dtype)[by_label.argmax(axis=1)]
    return leads.T @ by_label
