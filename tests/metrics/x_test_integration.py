from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from scproto._errors import InputError
from scproto.metrics import integration_scores

BIO = ["isolated_labels", "nmi", "ari", "silhouette_label", "clisi"]
BATCH = ["bras", "ilisi", "kbet", "graph_connectivity"]


def cells(batch_shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three distant cell types of 100 cells each, in two batches that differ by a shift."""
    rng = np.random.default_rng(seed)
    labels, batches = np.repeat(["B", "NK", "T"], 100), np.tile(["x", "y"], 150)
    centers = {"B": [9, 0, 0, 0], "NK": [0, 9, 0, 0], "T": [0, 0, 9, 0]}
    x = np.array([centers[label] for label in labels]) + rng.normal(size=(300, 4))
    x[batches == "y", 3] += batch_shift
    return x, labels, batches


@pytest.fixture(scope="module")
def mixed() -> dict[str, float]:
    return integration_scores(*cells(batch_shift=0))


@pytest.fixture(scope="module")
def apart() -> dict[str, float]:
    return integration_scores(*cells(batch_shift=8))


def test_parts_and_aggregates(mixed: dict[str, float]) -> None:
    assert set(mixed) == {*BIO, *BATCH, "bio", "batch", "total", "scib_metrics_version"}
    assert mixed["bio"] == pytest.approx(np.mean([mixed[part] for part in BIO]))
    assert mixed["batch"] == pytest.approx(np.mean([mixed[part] for part in BATCH]))
    assert mixed["total"] == pytest.approx(0.6 * mixed["bio"] + 0.4 * mixed["batch"])
    assert all(-1e-6 <= mixed[part] <= 1 + 1e-6 for part in BIO + BATCH)


def test_distinct_types_are_recovered(mixed: dict[str, float]) -> None:
    x, labels, _ = cells(batch_shift=0)
    assert mixed["nmi"] == pytest.approx(1)
    assert mixed["ari"] == pytest.approx(1)
    assert mixed["graph_connectivity"] == pytest.approx(1)
    assert mixed["silhouette_label"] == pytest.approx((silhouette_score(x, labels) + 1) / 2, abs=1e-4)


def test_separate_batches_score_lower_than_mixed_ones(mixed: dict[str, float], apart: dict[str, float]) -> None:
    for part in ("bras", "ilisi", "kbet", "batch"):
        assert apart[part] < mixed[part] - 0.1
    assert mixed["ilisi"] > 0.8
    assert apart["ilisi"] < 0.1


def test_one_batch_has_only_the_bio_scores(mixed: dict[str, float]) -> None:
    x, labels, _ = cells(batch_shift=0)
    scores = integration_scores(x, labels, np.full(300, "x"))
    assert set(scores) == {*BIO, "bio", "scib_metrics_version"}
    assert scores["silhouette_label"] == mixed["silhouette_label"]


def test_batches_without_shared_labels_have_only_the_bio_scores() -> None:
    x, labels, _ = cells(batch_shift=0)
    assert "total" not in integration_scores(x, labels, labels)


def test_drawn_cells_follow_the_seed() -> None:
    # as many cells as in the other tests and one batch, because jax compiles again for every shape
    x, labels, _ = (
        np.concatenate([a, b]) for a, b in zip(cells(batch_shift=0), cells(batch_shift=0, seed=1), strict=True)
    )
    first, again, other = (integration_scores(x, labels, np.full(600, "x"), max_cells=300, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first["silhouette_label"] != other["silhouette_label"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y, b: (x[:, 0], y, b), r"\(n_cells, n_dims\)"),
        (lambda x, y, b: (x, y[:-1], b), r"the labels \(299,\)"),
        (lambda x, y, b: (np.where(x > 11, np.nan, x), y, b), "NaN or infinite"),
        (lambda x, y, b: (x, np.where(y == "T", None, y), b), "100 of 300 cells lack"),
        (lambda x, y, b: (x, np.full(300, "T"), b), "at least two labels"),
        (lambda x, y, b: (x[:2], y[:2], b[:2]), "at least three"),
    ],
    ids=["flat embedding", "lengths differ", "not finite", "label missing", "one label", "two cells"],
)
def test_bad_input_is_refused(change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        integration_scores(*change(*cells(batch_shift=0)))


def test_scores_that_cannot_be_computed_are_left_out(monkeypatch, caplog):
    """kBET of very few cells is NaN; the means that include it are left out, too."""
    monkeypatch.setattr("scib_metrics.kbet_per_label", lambda *_: float("nan"))
    with caplog.at_level("INFO", logger="scproto"):
        scores = integration_scores(*cells(batch_shift=0))
    assert set(scores) == {*BIO, "bio", "bras", "ilisi", "graph_connectivity", "scib_metrics_version"}
    assert "left out: kbet, batch, total" in caplog.text
