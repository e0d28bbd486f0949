from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from scproto.metacells.classifier import Calibration, Evidence, _evenly, _quantiles, fit_classifier, joint_score

N_LABELS = 4


def reference(n_cells: int = 400, n_batches: int = 4, seed: int = 0, n_genes: int = 60, shift: float = 0.3):
    """Cells of four labels in batches that differ, as unit vectors."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(N_LABELS + 1, n_genes))
    label, batch = rng.integers(0, N_LABELS, n_cells), rng.integers(0, n_batches, n_cells)
    effect = shift * rng.normal(size=(n_batches, n_genes))
    x = np.maximum(centres[label] + effect[batch] + 1.5 * rng.normal(size=(n_cells, n_genes)), 0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return sparse.csr_matrix(x.astype(np.float32)), label, batch, centres


def test_labels_of_a_new_batch_are_found():
    x, label, batch, _ = reference()
    old = batch > 0
    classifier, calibration = fit_classifier(x[old], label[old], N_LABELS, batch[old])
    probability = calibration.probability(classifier.examine(x[~old], batch[~old])[0])
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert (probability.argmax(1) == label[~old]).mean() > 0.85
    assert 0.8 < calibration.accuracy <= 1


def test_sets_hold_the_label_as_often_as_stated():
    x, label, batch, _ = reference(4_000, 8, shift=0.2)
    old = batch > 1
    classifier, calibration = fit_classifier(x[old], label[old], N_LABELS, batch[old])
    probability = calibration.probability(classifier.examine(x[~old], batch[~old])[0])
    for coverage in (0.8, 0.9, 0.95):
        chosen = calibration.sets(probability, coverage)
        covered = chosen[np.arange(len(chosen)), label[~old]].mean()
        assert covered > coverage - 0.05
        assert chosen.any(1).all()
    sizes = [calibration.sets(probability, c).sum() for c in (0.5, 0.9, 0.99)]
    assert sizes == sorted(sizes)


def test_cells_of_no_label_fit_badly_and_known_ones_do_not():
    x, label, batch, centres = reference()
    rng = np.random.default_rng(5)
    old = batch > 0
    classifier, calibration = fit_classifier(x[old], label[old], N_LABELS, batch[old])
    new = np.maximum(centres[N_LABELS] + 1.5 * rng.normal(size=(50, x.shape[1])), 0)
    new = sparse.csr_matrix((new / np.linalg.norm(new, axis=1, keepdims=True)).astype(np.float32))
    both = sparse.vstack([x[~old], new], format="csr")
    fit = calibration.p_unknown(classifier.examine(both, np.zeros(both.shape[0], int))[1])
    n_known = int((~old).sum())
    assert np.median(fit[n_known:]) < 0.02
    assert (fit[:n_known] < 0.01).mean() < 0.1


def test_evidence_averages_over_cells_of_the_same_batch_alone():
    x, label, batch, _ = reference()
    classifier, _ = fit_classifier(x, label, N_LABELS, batch)
    logits, whole = classifier.examine(x, batch)
    own = batch == 2
    logits_alone, alone = classifier.examine(x[own], batch[own])
    np.testing.assert_allclose(logits[own], logits_alone, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole.doubt[own], alone.doubt, rtol=1e-5)
    np.testing.assert_allclose(whole.distance[own], alone.distance, rtol=1e-4)


def test_logits_and_evidence_are_those_of_a_loop():
    x, label, batch, _ = reference(60)
    classifier, _ = fit_classifier(x, label, N_LABELS, batch)
    logits, evidence = classifier.examine(x, batch)
    own, at = classifier.logits(x), x.toarray() @ classifier.loadings
    far = [np.sort(((classifier.landmarks - point) ** 2).sum(axis=1))[:15].mean() for point in at]
    for i in range(60):
        others = [j for j in range(60) if batch[j] == batch[i]]
        near = sorted(others, key=lambda j: ((at[i] - at[j]) ** 2).sum())[:15]
        np.testing.assert_allclose(logits[i], 0.25 * own[i] + 0.75 * own[near].mean(axis=0), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(evidence.distance[i], np.mean([far[j] for j in near]), rtol=1e-3)
        np.testing.assert_allclose(evidence.doubt[i], np.mean([-own[j].max() for j in near]), rtol=1e-3)


def test_one_cell_can_be_classified():
    x, label, batch, _ = reference()
    classifier, calibration = fit_classifier(x, label, N_LABELS, batch)
    logits, evidence = classifier.examine(x[:1], np.zeros(1, int))
    np.testing.assert_allclose(logits, classifier.logits(x[:1]), rtol=1e-5)
    assert evidence.doubt == pytest.approx(-logits.max())
    assert 0 < calibration.p_unknown(evidence)[0] <= 1


@pytest.mark.parametrize("n_batches", [1, 2, 12])
def test_any_number_of_batches_calibrates(n_batches):
    x, label, batch, _ = reference(n_batches=n_batches)
    calibration = fit_classifier(x, label, N_LABELS, batch)[1]
    assert np.isfinite(calibration.temperature)
    assert np.isfinite(calibration.nonconformity).all()


def test_labels_of_one_batch_alone_do_not_break_the_calibration():
    x, label, _, _ = reference()
    classifier, calibration = fit_classifier(x, label, N_LABELS, label)  # each batch has a label of its own
    assert np.isfinite(calibration.probability(classifier.logits(x))).all()
    assert np.isfinite(calibration.temperature)


def test_two_labels_have_a_logit_each():
    x, label, batch, _ = reference()
    some = label < 2
    classifier, calibration = fit_classifier(x[some], label[some], 2, batch[some])
    assert classifier.weights.shape == (2, x.shape[1])
    assert (calibration.probability(classifier.logits(x[some])).argmax(1) == label[some]).mean() > 0.9


def test_the_seed_decides():
    x, label, batch, _ = reference()
    first, second = (fit_classifier(x, label, N_LABELS, batch, seed=3)[0] for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


def test_the_joint_score_is_that_of_fisher():
    reference_values = np.array([1.0, 2.0, 3.0], np.float32)
    evidence = Evidence(np.array([0.0, 2.5, 9.0], np.float32), np.array([0.0, 2.0, 9.0], np.float32))
    expected = [
        -np.log((sum(r >= d for r in reference_values) + 1) / 4)
        - np.log((sum(r >= s for r in reference_values) + 1) / 4)
        for d, s in zip(evidence.doubt, evidence.distance, strict=True)
    ]
    np.testing.assert_allclose(joint_score(evidence, reference_values, reference_values), expected, rtol=1e-6)


def test_a_set_is_never_empty():
    calibration = Calibration(1.0, np.zeros(3, np.float32), *(np.zeros(3, np.float32),) * 3, 1.0)
    probability = np.array([[0.3, 0.4, 0.3]], np.float32)
    assert calibration.sets(probability, 0.5).tolist() == [[False, True, False]]


def test_quantiles_follow_the_weights():
    values, weight = np.array([3.0, 1.0, 2.0]), np.array([0.25, 0.5, 0.25])
    found = _quantiles(values, weight, 5)  # at 0, 1/4, 1/2, 3/4 and 1
    assert found.tolist() == [1, 1, 1, 2, 3]


def test_samples_come_evenly_from_labels_and_batches():
    label, batch = np.repeat([0, 1], [90, 10]), np.zeros(100, int)
    chosen = _evenly(label, batch, 30, np.random.default_rng(0))
    assert np.bincount(label[chosen]).tolist() == [20, 10]
    assert (np.diff(chosen) > 0).all()
    assert len(_evenly(label, batch, 1000, np.random.default_rng(0))) == 100
