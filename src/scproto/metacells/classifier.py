"""Labels from expression: a linear classifier that is calibrated on batches that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ..graph.search import euclidean_search

INVERSE_PENALTY = 20.0
"""Inverse weight of the ridge penalty of the logistic regression (``C`` of scikit-learn)."""

N_FITTED = 20_000
"""Maximum number of cells to learn from."""

N_FOLDS = 5
"""Maximum number of times that some batches are left out."""

N_DIMS, N_LANDMARKS, N_NEAR = 30, 10_000, 15
"""Dimensions of the space in which distances are measured, cells kept there, and neighbours of a cell."""

OWN = 0.25
"""Weight of a cell's own logits beside the mean of its neighbours, which include it."""

Values = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """How well new cells fit the reference; both are higher for cells that do not.

    Attributes
    ----------
    doubt
        Largest logit of a label, with the sign changed, averaged over similar cells, ``(n_cells,)``.
    distance
        Mean squared distance to the nearest cells of the reference, averaged in the same way, ``(n_cells,)``.
    """

    doubt: Values
    distance: Values


@dataclass(frozen=True)
class Classifier:
    """Logistic regression on log expression, and landmarks that tell how far a cell lies from the reference.

    Attributes
    ----------
    weights
        Weights of the genes, ``(n_labels, n_genes)``.
    intercept
        Intercepts, ``(n_labels,)``.
    loadings
        Principal axes of the reference, ``(n_genes, n_dims)``.
    landmarks
        Cells of the reference along these axes, evenly from all labels and batches, ``(n_landmarks, n_dims)``.
    """

    weights: Values
    intercept: Values
    loadings: Values
    landmarks: Values

    def logits(self, x: sp.csr_matrix | Values) -> Values:
        """Logits of the labels before calibration, ``(n_cells, n_labels)``."""
        return np.asarray(x @ self.weights.T, np.float32) + self.intercept

    def examine(self, x: sp.csr_matrix | Values, batch: Codes) -> tuple[Values, Evidence]:
        """Read labels and fit of cells together with those of the most similar cells of the same batch.

        A single cell has few counts, and its neighbours are mostly of its kind. So its logits are averaged with theirs,
        and the evidence is their mean.

        Parameters
        ----------
        x
            log1p CP10k, scaled to unit norm, ``(n_cells, n_genes)``.
        batch
            Batch of each cell, integers ``(n_cells,)``.

        Returns
        -------
        logits : numpy.ndarray
            Logits of the labels before calibration, ``(n_cells, n_labels)``.
        evidence : Evidence
            How well the cells fit the reference.
        """
        at, logits = np.asarray(x @ self.loadings, np.float32), self.logits(x)
        distance = euclidean_search(self.landmarks)(at, N_NEAR)[1].mean(axis=1)
        both = np.stack([-logits.max(axis=1), distance], axis=1)
        for b in np.unique(batch):
            own = np.flatnonzero(batch == b)
            near = euclidean_search(at[own])(at[own], N_NEAR)[0]
            both[own] = both[own][near].mean(axis=1)
            logits[own] = OWN * logits[own] + (1 - OWN) * logits[own][near].mean(axis=1)
        return logits, Evidence(both[:, 0], both[:, 1])


@dataclass(frozen=True)
class Calibration:
    """What the classifier is worth on batches that it has not seen.

    Attributes
    ----------
    temperature
        Divisor of the logits that makes their softmax probabilities.
    nonconformity
        Quantiles of one minus the probability of the true label, from 0 to 1, ``(n_quantiles,)``.
    doubt, distance, unknown
        Quantiles of the :class:`Evidence` and of the score that joins both, each ``(n_quantiles,)``.
    accuracy
        Share of the cells whose label is right, averaged over the batches that were left out.
    """

    temperature: float
    nonconformity: Values
    doubt: Values
    distance: Values
    unknown: Values
    accuracy: float

    def probability(self, logits: Values) -> Values:
        """Calibrated probabilities of the labels, ``(n_cells, n_labels)``."""
        return softmax(logits / np.float32(self.temperature), axis=1)

    def sets(self, probability: Values, coverage: float) -> NDArray[np.bool_]:
        """Sets of labels that hold the true one with this probability; never empty, ``(n_cells, n_labels)``."""
        least = 1 - np.quantile(self.nonconformity, coverage, method="higher")
        return (probability >= least) | (probability == probability.max(axis=1, keepdims=True))

    def p_unknown(self, evidence: Evidence) -> Values:
        """Share of known cells of an unseen batch that would fit the reference as badly, ``(n_cells,)``."""
        return _p_value(joint_score(evidence, self.doubt, self.distance), self.unknown)


def joint_score(evidence: Evidence, doubt: Values, distance: Values) -> Values:
    """Join the p-values of doubt and distance as Fisher does, ``(n_cells,)``."""
    return -np.log(_p_value(evidence.doubt, doubt)) - np.log(_p_value(evidence.distance, distance))


def _p_value(values: Values, reference: Values) -> Values:
    """Share of the reference that is at least as large, never zero."""
    above = len(reference) - np.searchsorted(np.sort(reference), values, side="left")
    return ((above + 1) / (len(reference) + 1)).astype(np.float32)


def fit_classifier(
    x: sp.csr_matrix, label: Codes, n_labels: int, batch: Codes, seed: int = 0
) -> tuple[Classifier, Calibration]:
    """Learn labels, and calibrate them on batches that are left out in turn.

    A cell left out at random would flatter the classifier, since new cells come from new batches. With a single batch,
    there are only cells to leave out.

    Parameters
    ----------
    x
        log1p CP10k of labelled cells, scaled to unit norm, CSR ``(n_cells, n_genes)``.
    label
        Label of each cell, integers ``(n_cells,)``.
    n_labels
        Number of labels; each has cells.
    batch
        Batch of each cell, integers ``(n_cells,)``.
    seed
        Seed of the samples of cells.

    Returns
    -------
    classifier : Classifier
        Classifier of all cells.
    calibration : Calibration
        Calibration on the batches left out.
    """
    rng = np.random.default_rng(seed)
    chosen = _evenly(label, batch, N_FITTED, rng)
    x, label, batch = x[chosen], label[chosen], batch[chosen]
    classifier = _fit(x, label, n_labels, batch, rng)
    logits, doubt, distance = np.zeros((len(label), n_labels), np.float32), *np.zeros((2, len(label)), np.float32)
    fold = _folds(batch, rng)
    for out in np.unique(fold):
        held, kept = np.flatnonzero(fold == out), np.flatnonzero(fold != out)
        part = _fit(x[kept], label[kept], n_labels, batch[kept], rng)
        logits[held], evidence = part.examine(x[held], batch[held])
        doubt[held], distance[held] = evidence.doubt, evidence.distance
    return classifier, _calibrate(logits, label, batch, Evidence(doubt, distance))


def _fit(x: sp.csr_matrix, label: Codes, n_labels: int, batch: Codes, rng: np.random.Generator) -> Classifier:
    from sklearn.linear_model import LogisticRegression
    from sklearn.utils.extmath import randomized_svd

    weight = _balance(label, batch)
    n_dims = min(N_DIMS, *x.shape)
    loadings = randomized_svd(x, n_dims, random_state=int(rng.integers(2**31)))[2].T.astype(np.float32)
    landmarks = np.asarray(x[_evenly(label, batch, N_LANDMARKS, rng)] @ loadings, np.float32)
    weights, intercept = np.zeros((n_labels, x.shape[1]), np.float32), np.full(n_labels, -np.inf, np.float32)
    present = np.unique(label)
    if len(present) == 1:
        intercept[present] = 0
        return Classifier(weights, intercept, loadings, landmarks)
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=300).fit(x, label, sample_weight=weight)
    found, at = model.coef_, model.intercept_
    if len(present) == 2:  # scikit-learn keeps the difference of the two
        found, at = np.concatenate([-found, found]) / 2, np.concatenate([-at, at]) / 2
    weights[present], intercept[present] = found, at
    return Classifier(weights, intercept, loadings, landmarks)


def _calibrate(logits: Values, label: Codes, batch: Codes, evidence: Evidence) -> Calibration:
    """Calibrate on cells whose label other batches have."""
    own = logits[np.arange(len(label)), label]
    rows = np.flatnonzero(np.isfinite(own))
    if not len(rows):  # every batch has labels of its own
        rows, logits = np.arange(len(label)), np.zeros_like(logits)
    logits, label, batch = np.maximum(logits[rows], -1e4), label[rows], batch[rows]
    evidence = Evidence(evidence.doubt[rows], evidence.distance[rows])
    weight = 1 / np.bincount(batch)[batch]
    weight /= weight.sum()

    def loss(log_temperature: float) -> float:
        likely = log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(label)), label]
        return float(-(weight * likely).sum())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))
    probability = softmax(logits / temperature, axis=1)
    doubt, distance = (_quantiles(values, weight) for values in (evidence.doubt, evidence.distance))
    return Calibration(
        temperature,
        _quantiles(1 - probability[np.arange(len(label)), label], weight),
        doubt,
        distance,
        _quantiles(joint_score(evidence, doubt, distance), weight),
        float((weight * (logits.argmax(axis=1) == label)).sum()),
    )


def _quantiles(values: Values, weight: NDArray[np.float64], n: int = 1001) -> Values:
    """Weighted quantiles from 0 to 1, ``(n,)``."""
    order = np.argsort(values)
    until = np.cumsum(weight[order])
    at = np.searchsorted(until, np.linspace(0, until[-1], n), side="left")
    return values[order][np.minimum(at, len(values) - 1)].astype(np.float32)


def _balance(label: Codes, batch: Codes) -> NDArray[np.float64]:
    """Weight of each cell: the inverse square root of the number of cells with its label in its batch, mean one."""
    group = np.unique(np.stack([label, batch]), axis=1, return_inverse=True)[1].ravel()
    weight = np.bincount(group)[group] ** -0.5
    return weight / weight.mean()


def _folds(batch: Codes, rng: np.random.Generator) -> Codes:
    """Fold of each cell: its batch; some batches together if there are many; random cells if there is one."""
    names, code = np.unique(batch, return_inverse=True)
    if len(names) == 1:
        return rng.integers(0, N_FOLDS, len(batch))
    return (rng.permutation(len(names)) % N_FOLDS)[code]


def _evenly(label: Codes, batch: Codes, n: int, rng: np.random.Generator) -> Codes:
    """At most about `n` cells, as evenly as possible from all labels in all batches, in order."""
    group = np.unique(np.stack([label, batch]), axis=1, return_inverse=True)[1].ravel()
    if len(group) <= n:
        return np.arange(len(group))
    order = rng.permutation(len(group))
    rank = np.empty(len(group), np.int64)  # of each cell within its group
    for g in range(group.max() + 1):
        own = order[group[order] == g]
        rank[own] = np.arange(len(own))
    return np.sort(order[np.argsort(rank[order], kind="stable")[:n]])
