from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scproto._errors import InputError
from scproto.metrics import (
    absent_label_share,
    balanced_purity,
    batch_entropy,
    contingency,
    coverage,
    group_scores,
    label_recall,
    metacell_scores,
    purity,
    size_cv,
)

cells = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ABCD"), st.sampled_from("xyz")), min_size=1, max_size=60)


def naive_scores(assignment: list[int], labels: list[str], batches: list[str]) -> dict[str, float]:
    """Compute the definitions cell by cell, with dictionaries only."""
    members: dict[int, list[int]] = {}
    for cell, metacell in enumerate(assignment):
        members.setdefault(metacell, []).append(cell)
    majority = {}
    for metacell, own in members.items():
        count = Counter(labels[cell] for cell in own)
        majority[metacell] = min(count, key=lambda label: (-count[label], label))
    n_label, n_batch = Counter(labels), Counter(batches)

    balanced, recall = [], {}
    for label in n_label:
        led = [cell for metacell, own in members.items() if majority[metacell] == label for cell in own]
        hits = sum(labels[cell] == label for cell in led)
        balanced.append(hits / len(led) if led else 0.0)
        recall[label] = hits / n_label[label]

    entropy = 0.0
    for own in members.values():
        weight = [sum(batches[cell] == batch for cell in own) / n_batch[batch] for batch in n_batch]
        share = [w / sum(weight) for w in weight if w > 0]
        normalised = -sum(p * math.log(p) for p in share) / math.log(len(n_batch)) if len(n_batch) > 1 else 1.0
        entropy += normalised * len(own) / len(assignment)

    sizes = [len(own) for own in members.values()]
    mean = sum(sizes) / len(sizes)
    rarest = min(n_label, key=lambda label: (n_label[label], label))
    return {
        "n_metacells": len(members),
        "purity": sum(labels[c] == majority[m] for c, m in enumerate(assignment)) / len(assignment),
        "balanced_purity": sum(balanced) / len(n_label),
        "coverage": len(set(majority.values())) / len(n_label),
        "recall_of_rarest": recall[rarest],
        "mean_label_recall": sum(recall.values()) / len(recall),
        "batch_entropy": entropy,
        "size_cv": math.sqrt(sum((s - mean) ** 2 for s in sizes) / len(sizes)) / mean,
    }


@given(cells)
def test_scores_equal_the_naive_loops(drawn: list[tuple[int, str, str]]) -> None:
    assignment, labels, batches = map(list, zip(*drawn, strict=True))
    assert metacell_scores(assignment, labels, batches) == pytest.approx(naive_scores(assignment, labels, batches))


@given(cells, st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_the_cells(drawn: list[tuple[int, str, str]], random) -> None:
    before = metacell_scores(*map(list, zip(*drawn, strict=True)))
    random.shuffle(drawn)
    assert metacell_scores(*map(list, zip(*drawn, strict=True))) == pytest.approx(before)


def test_contingency_counts_pairs_sorted_by_name() -> None:
    table = contingency(["m2", "m1", "m2", "m2"], pd.Categorical(["b", "a", "a", "b"], categories=["b", "a", "unused"]))
    np.testing.assert_array_equal(table, [[1, 0], [1, 2]])


def test_one_metacell_of_all_cells_has_the_purity_of_the_largest_label() -> None:
    table = np.array([[6, 3, 1]])
    assert purity(table) == pytest.approx(0.6)
    assert coverage(table) == pytest.approx(1 / 3)
    assert balanced_purity(table) == pytest.approx(0.6 / 3)
    np.testing.assert_allclose(label_recall(table), [1, 0, 0])


def test_balanced_purity_weights_labels_equally_and_purity_weights_cells_equally() -> None:
    table = np.array([[98, 0], [4, 6]])
    assert purity(table) == pytest.approx(104 / 108)
    assert balanced_purity(table) == pytest.approx((1 + 0.6) / 2)


def test_batch_entropy_is_one_for_equal_mixing_of_unequal_batches() -> None:
    assert batch_entropy(np.array([[90, 10], [45, 5]])) == pytest.approx(1.0)


def test_batch_entropy_is_zero_if_no_metacell_has_two_batches() -> None:
    assert batch_entropy(np.array([[7, 0], [0, 3], [1, 0]])) == 0.0


def test_batch_entropy_of_a_single_batch_is_one() -> None:
    assert batch_entropy(np.array([[7], [3]])) == 1.0


def test_size_cv_of_equal_sizes_is_zero() -> None:
    assert size_cv([4, 4, 4]) == 0.0
    assert size_cv([1, 3]) == pytest.approx(0.5)


def test_a_single_cell_is_a_pure_metacell() -> None:
    scores = metacell_scores(["m"], ["T"], ["lab"])
    assert scores["n_metacells"] == 1
    assert scores["purity"] == scores["recall_of_rarest"] == 1.0
    assert scores["size_cv"] == 0.0


def test_labels_and_batches_may_be_left_out() -> None:
    assert set(metacell_scores([0, 0, 1])) == {"n_metacells", "size_cv"}
    assert set(metacell_scores([0, 0, 1], batches=["a", "b", "a"])) == {"n_metacells", "batch_entropy", "size_cv"}
    assert "batch_entropy" not in metacell_scores([0, 0, 1], ["T", "B", "T"])


@pytest.mark.parametrize(
    ("assignment", "labels", "message"),
    [
        ([0, 1], ["T"], "one value of each per cell"),
        ([], [], "0 of 0 cells"),
        ([0, 1, 1], ["T", None, "B"], "1 of 3 cells lack"),
        ([0.0, float("nan")], ["T", "B"], "1 of 2 cells lack"),
    ],
    ids=["lengths differ", "no cell", "label missing", "metacell missing"],
)
def test_bad_input_is_refused(assignment: list, labels: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metacell_scores(assignment, labels)


def naive_group_scores(assignment: list[int], labels: list[str], group: list[bool]) -> dict[str, float]:
    recall, mixed, foreign = [], [], []
    for cell in range(len(labels)):
        if group[cell]:
            company = Counter(label for m, label in zip(assignment, labels, strict=True) if m == assignment[cell])
            others = company.total() - company[labels[cell]]
            recall.append(labels[cell] == min(company, key=lambda label: (-company[label], label)))
            mixed.append(others > 0)
            foreign.append(others / company.total())
    n = len(recall)
    return {"recall": sum(recall) / n, "mixed": sum(mixed) / n, "foreign": sum(foreign) / n}


@given(cells, st.data())
def test_group_scores_equal_the_naive_loop(drawn: list[tuple[int, str, str]], data) -> None:
    assignment, labels, _ = map(list, zip(*drawn, strict=True))
    group = data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)).filter(any))
    expected = naive_group_scores(assignment, labels, group)
    assert group_scores(assignment, labels, group) == pytest.approx(expected, abs=1e-12)


def test_group_scores_of_a_separate_label_and_of_a_lost_one() -> None:
    assignment, labels = [0, 0, 1, 1, 1], ["T", "T", "B", "B", "NK"]
    assert group_scores(assignment, labels, np.isin(labels, ["T"])) == {"recall": 1, "mixed": 0, "foreign": 0}
    lost = group_scores(assignment, labels, np.isin(labels, ["NK"]))
    assert lost == pytest.approx({"recall": 0, "mixed": 1, "foreign": 2 / 3})


@pytest.mark.parametrize("group", [[False, False], [True]], ids=["empty", "length"])
def test_group_that_does_not_fit_is_refused(group: list[bool]) -> None:
    with pytest.raises(InputError, match="of 2 cells: give one boolean per cell"):
        group_scores([0, 1], ["T", "B"], group)


@given(cells)
def test_absent_label_share_equals_the_naive_loop(drawn: list[tuple[int, str, str]]) -> None:
    assignment, labels, batches = map(list, zip(*drawn, strict=True))
    misplaced = 0
    for metacell, batch in zip(assignment, batches, strict=True):
        count = Counter(label for m, label in zip(assignment, labels, strict=True) if m == metacell)
        leading = min(count, key=lambda label: (-count[label], label))
        misplaced += (leading, batch) not in set(zip(labels, batches, strict=True))
    assert absent_label_share(assignment, labels, batches) == pytest.approx(misplaced / len(drawn))


def test_absent_label_share_is_zero_if_every_batch_has_every_label() -> None:
    assert absent_label_share([0, 0, 0, 0], ["T", "T", "B", "B"], ["x", "y", "x", "y"]) == 0.0
    assert absent_label_share([0, 0, 0, 0], ["T", "T", "B", "T"], ["x", "x", "y", "x"]) == 0.25
