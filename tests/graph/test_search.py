from __future__ import annotations

import numpy as np
import pytest

from scproto.graph import nearest_others
from scproto.graph.search import Search


@pytest.mark.parametrize("k", [1, 7, 60, 99])
def test_equals_a_sorted_table(clustered, k):
    reference, query = clustered(60), clustered(9, seed=1)
    indices, products = Search(reference, exact=True)(query, k)
    table = query.astype(np.float64) @ reference.T.astype(np.float64)
    assert indices.shape == products.shape == (9, min(k, 60))
    np.testing.assert_array_equal(indices, np.argsort(-table, axis=1)[:, :k])
    np.testing.assert_allclose(products, -np.sort(-table, axis=1)[:, :k], atol=1e-6)


@pytest.mark.parametrize("k", [1, 7, 60, 99])
def test_distances_equal_a_sorted_table(clustered, k):
    reference, query = 3 * clustered(60) + 1, 2 * clustered(9, seed=1)
    indices, squared = Search(reference, exact=True, euclidean=True)(query, k)
    table = ((query[:, None].astype(np.float64) - reference) ** 2).sum(2)
    np.testing.assert_array_equal(indices, np.argsort(table, axis=1)[:, :k])
    np.testing.assert_allclose(squared, np.sort(table, axis=1)[:, :k], atol=1e-4)


def test_distances_are_found_in_lists(clustered):
    points = clustered(3000) * np.linspace(1, 3, 3000, dtype=np.float32)[:, None]  # norms differ
    search = Search(points, exact=False, euclidean=True)
    assert search.n_probed
    found = search.others(10)[0]
    table = ((points[:, None] - points[::60]) ** 2).sum(2)[:, :]
    table[np.arange(0, 3000, 60), np.arange(50)] = np.inf
    truth = np.argsort(table, axis=0)[:10].T
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth, found[::60], strict=True)]) > 0.9


def test_many_points_are_searched_nearly_exactly_and_the_recall_is_logged(clustered, monkeypatch, caplog):
    points = clustered(3000)
    exact = nearest_others(points, 10)[0]
    monkeypatch.setattr("scproto.graph.search.EXACT_UP_TO", 2999)
    with caplog.at_level("INFO", logger="scproto"):
        found = nearest_others(points, 10)[0]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)])
    assert recall > 0.95
    (message,) = [record.getMessage() for record in caplog.records]
    assert "3000 cells" in message
    assert float(message.split(": ")[1].split(" %")[0]) == pytest.approx(100 * recall, abs=3)
    np.testing.assert_array_equal(found, nearest_others(points, 10)[0])


def test_lists_with_too_few_points_are_searched_exactly(clustered, monkeypatch):
    points = clustered(500)
    exact = nearest_others(points, 400)[0]
    monkeypatch.setattr("scproto.graph.search.EXACT_UP_TO", 10)
    monkeypatch.setattr("scproto.graph.search.LISTED_FROM", 10)
    monkeypatch.setattr("scproto.graph.search.ENOUGH", 0.0)
    assert not np.array_equal(nearest_others(points, 3)[0], exact[:, :3])
    np.testing.assert_array_equal(nearest_others(points, 400)[0], exact)


@pytest.mark.parametrize("enough", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_no_more_lists_are_searched_than_needed(clustered, monkeypatch, enough):
    monkeypatch.setattr("scproto.graph.search.ENOUGH", enough)
    points = clustered(3000)
    search = Search(points, exact=False)
    assert search.recall(points, 10) >= enough
    search.n_probed -= 1
    assert search.n_probed == 0 or search.recall(points, 10) < enough


@pytest.mark.parametrize("n_probed", [1, 2, 5, 55])
def test_recall_is_the_share_of_the_neighbours_found(clustered, n_probed):
    points, query = clustered(3000), clustered(150, seed=1)
    search = Search(points, exact=False)
    search.n_probed = n_probed
    truth, found = np.argsort(-query @ points.T, axis=1)[:, :10], search(query, 10)[0]
    shared = [len(set(a) & set(b)) / 10 for a, b in zip(truth, found, strict=True)]
    assert search.recall(query, 10) == pytest.approx(np.mean(shared), abs=1e-9)
    assert (n_probed == 55) == (np.mean(shared) == 1)  # 55 is the number of lists


def test_search_in_lists_returns_rows_and_their_products(clustered):
    points, query = clustered(3000), clustered(70, seed=1)
    search = Search(points, exact=False)
    search.n_probed = 1
    indices, products = search(query, 6)
    np.testing.assert_allclose(products, (query[:, None] * points[indices]).sum(2), atol=1e-6)
    assert (np.diff(products, axis=1) <= 0).all()


def test_equal_rows_fill_one_list(clustered):
    points = np.repeat(clustered(3), 1000, axis=0)
    indices, products = Search(points, exact=False)(points[::1000], 20)
    np.testing.assert_array_equal(indices // 1000, np.arange(3)[:, None].repeat(20, 1))
    np.testing.assert_allclose(products, 1, atol=1e-6)


def test_few_rows_have_no_lists(clustered):
    assert Search(clustered(2999), exact=False).n_probed == 0
