"""Score transferred labels: functions of arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from scproto._errors import InputError

MIN_CELLS = 50
"""A label with fewer cells in the query does not count in the macro F1."""

N_BINS, N_NEIGHBOURS = 15, 15


def score(
    found: dict[str, np.ndarray], truth: pd.Series, in_reference: list[str], min_cells: int = MIN_CELLS
) -> dict[str, float]:
    """Score the labels of the query.

    Parameters
    ----------
    found
        What the method returned, as :mod:`lab.mapping` describes it.
    truth
        Label of each cell, ``(n_query,)``. Cells with a missing label do not count.
    in_reference
        Labels of the reference. All scores but those of ``unknown`` only count the cells that have one of them.
    min_cells
        Number of cells that a label must have in the query to count in the macro F1.

    Returns
    -------
    scores : dict
        Scores of what the method does not return, and of unknown labels where there are none, are left out.

    Raises
    ------
    InputError
        If no cell of the query has a label of the reference.
    """
    labelled, known = truth.notna().to_numpy(), truth.isin(in_reference).to_numpy()
    if not known.any():
        raise InputError("No cell of the query has a label of the reference.")
    label, probability = truth[known].to_numpy(str), found["probability"][known]
    confidence, correct = top(found, truth, in_reference)
    scores = {
        "n_query": int(labelled.sum()),
        "n_unknown": int((labelled & ~known).sum()),
        "macro_f1": macro_f1(label, found["labels"][probability.argmax(axis=1)], min_cells),
        "accuracy": float(correct.mean()),
        "ece": calibration_error(confidence, correct),
        "brier": brier(probability, found["labels"], label),
    }
    if "sets" in found:
        scores |= set_scores(found["sets"][known], found["labels"], label)
    if (labelled & ~known).any():
        unknown = ~known[labelled]
        scores["auroc_unknown"] = float(roc_auc_score(unknown, found["unknown"][labelled]))
        if "embedding" in found:
            distance = distances(found["reference_embedding"], found["embedding"][labelled])
            scores["auroc_distance"] = float(roc_auc_score(unknown, distance))
    return scores | {name: float(found[name]) for name in ("seconds_fit", "seconds_map")}


def top(found: dict[str, np.ndarray], truth: pd.Series, in_reference: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return how probable the most probable label is, and whether it is right, for cells with a label of the reference.

    Returns
    -------
    confidence, correct : numpy.ndarray
        Both ``(n_known,)``.
    """
    known = truth.isin(in_reference).to_numpy()
    probability = found["probability"][known]
    return probability.max(axis=1), found["labels"][probability.argmax(axis=1)] == truth[known].to_numpy(str)


def macro_f1(truth: np.ndarray, predicted: np.ndarray, min_cells: int = MIN_CELLS) -> float:
    """Return the mean F1 of the labels with at least `min_cells` cells in `truth`; NaN if there are none."""
    names, sizes = np.unique(truth, return_counts=True)
    counted = names[sizes >= min_cells]
    return float(f1_score(truth, predicted, labels=counted, average="macro")) if len(counted) else np.nan


def reliability(confidence: np.ndarray, correct: np.ndarray, n_bins: int = N_BINS) -> pd.DataFrame:
    """Return the number of cells, the mean confidence and the accuracy of the bins that hold cells.

    The bins cut the confidences from 0 to 1 into parts of equal width. Their upper bounds belong to them.
    """
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    cells = pd.DataFrame({"confidence": confidence, "accuracy": correct.astype(float)}).groupby(bins)
    return cells.mean().assign(n_cells=cells.size())


def calibration_error(confidence: np.ndarray, correct: np.ndarray, n_bins: int = N_BINS) -> float:
    """Return the expected calibration error: the mean over the cells of |accuracy - mean confidence| of their bin."""
    bins = reliability(confidence, correct, n_bins)
    return float(np.average((bins["accuracy"] - bins["confidence"]).abs(), weights=bins["n_cells"]))


def brier(probability: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean over the cells of the squared error of the probabilities, summed over the labels."""
    return float(((probability - (truth[:, None] == labels)) ** 2).sum(axis=1).mean())


def set_scores(sets: np.ndarray, labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the share of the cells whose set of labels holds the true one, and the mean number of labels in a set."""
    covered = (sets & (truth[:, None] == labels)).any(axis=1)
    return {"coverage": float(covered.mean()), "set_size": float(sets.sum(axis=1).mean())}


def distances(reference: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the mean distance of each cell of the query to its nearest cells of the reference."""
    neighbours = NearestNeighbors(n_neighbors=min(N_NEIGHBOURS, len(reference))).fit(reference)
    return neighbours.kneighbors(query)[0].mean(axis=1)
