from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.metrics.pairwise import cosine_similarity

from scproto.graph import KnnGraph, mutual_neighbors, within_batch_neighbors


def random_cells(n_cells: int = 60, n_batches: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_cells, 5)), rng.integers(0, n_batches, n_cells)


def neighbors(graph: KnnGraph) -> list[set[int]]:
    return [set(row.tolist()) for row in np.split(graph.indices, graph.indptr[1:-1])]


def nearest(similarity: np.ndarray, cell: int, candidates: np.ndarray, k: int) -> set[int]:
    """The `k` candidates that are most similar to a cell, without the cell itself."""
    others = [c for c in candidates.tolist() if c != cell]
    return set(sorted(others, key=lambda c: -similarity[cell, c])[:k])


class TestKnnGraph:
    table = np.array([[1, 2, -1], [0, -1, -1], [-1, -1, -1], [0, 1, 2]])

    @pytest.mark.parametrize("index", [2, -1], ids=["too_large", "negative"])
    def test_refuses_cells_that_do_not_exist(self, index):
        with pytest.raises(ValueError, match="must lie in"):
            KnnGraph(np.array([0, 1, 2]), np.array([1, index]))

    def test_degree(self):
        assert KnnGraph.from_table(self.table).degree.tolist() == [2, 1, 0, 3]

    def test_sparse_form_and_back(self):
        sparse = KnnGraph.from_table(self.table).to_sparse()
        np.testing.assert_array_equal(sparse.toarray(), [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]])
        assert neighbors(KnnGraph.from_sparse(sparse)) == [{1, 2}, {0}, set(), {0, 1, 2}]

    @pytest.mark.parametrize("width", [0, 4])
    def test_no_cell_has_a_neighbour(self, width):
        graph = KnnGraph.from_table(np.full((3, width), -1))
        assert neighbors(KnnGraph.from_sparse(graph.to_sparse())) == neighbors(graph) == [set()] * 3
        assert graph.draw(np.array([2, 0]), np.random.default_rng(0)).tolist() == [2, 0]

    def test_diagonal_is_ignored(self):
        assert neighbors(KnnGraph.from_sparse(sp.csr_matrix(np.array([[1, 1], [0, 1]])))) == [{1}, set()]

    def test_pairs_in_any_order(self):
        pairs = sp.coo_matrix((np.ones(3), ([3, 0, 3], [2, 1, 0])), shape=(4, 4))
        graph = KnnGraph.from_sparse(pairs)
        assert graph.indptr.tolist() == [0, 1, 1, 1, 3]
        assert graph.indices.tolist() == [1, 0, 2]

    @pytest.mark.parametrize("cells", [[1, 3, 4, 8], [0, 1, 2, 3], [5, 6, 7, 8]])
    def test_graph_of_some_cells_is_extended_to_all(self, cells):
        graph = KnnGraph.from_table(self.table).among(np.array(cells), 9)
        expected = [set() for _ in range(9)]
        for cell, row in zip(cells, self.table, strict=True):
            expected[cell] = {cells[i] for i in row if i >= 0}
        assert neighbors(graph) == expected

    def test_mutual_pairs_choose_each_other(self):
        graph = KnnGraph.from_table(np.array([[1, 2], [0, -1], [1, -1], [-1, -1]]))
        assert neighbors(graph.mutual()) == [{1}, {0}, set(), set()]

    def test_mutual_neighbours_of_a_rare_group_belong_to_it(self):
        rng = np.random.default_rng(0)
        rare = np.arange(103) >= 100
        x = np.where(rare[:, None], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]) + 0.1 * rng.normal(size=(103, 3))
        graph = within_batch_neighbors(x, np.zeros(103, dtype=np.int64), 5)
        assert not all(rare[i] for i in set.union(*neighbors(graph)[100:]))
        assert all(rare[i] for i in set.union(*neighbors(graph.mutual())[100:]))

    def test_draws_all_neighbours_equally_often_or_else_the_cell_itself(self):
        cells = np.repeat(np.arange(4), 1000)
        drawn = KnnGraph.from_table(self.table).draw(cells, np.random.default_rng(0))
        assert [sorted(set(drawn[cells == c].tolist())) for c in range(4)] == [[1, 2], [0], [2], [0, 1, 2]]
        assert np.bincount(drawn[cells == 3]).min() > 280

    def test_draw_is_reproducible(self):
        cells = np.repeat(np.arange(4), 20)
        draws = [KnnGraph.from_table(self.table).draw(cells, np.random.default_rng(seed)) for seed in (5, 5, 6)]
        np.testing.assert_array_equal(draws[0], draws[1])
        assert (draws[0] != draws[2]).any()


class TestWithinBatch:
    @pytest.mark.parametrize("k", [1, 4, 50], ids=["one", "some", "more_than_a_batch_has"])
    def test_equals_a_loop(self, k):
        x, batch = random_cells()
        batch[batch == 2] = 7  # codes with a gap
        similarity = cosine_similarity(x)
        expected = [nearest(similarity, i, np.flatnonzero(batch == batch[i]), k) for i in range(len(x))]
        assert neighbors(within_batch_neighbors(x, batch, k)) == expected

    def test_length_of_the_vectors_does_not_matter(self):
        x, batch = random_cells()
        scaled = x * np.linspace(0.1, 10, len(x))[:, None]
        assert neighbors(within_batch_neighbors(scaled, batch, 5)) == neighbors(within_batch_neighbors(x, batch, 5))

    def test_batches_of_one_and_two_cells(self):
        x, _ = random_cells(5)
        graph = within_batch_neighbors(x, np.array([0, 1, 1, 2, 2]), 3)
        assert neighbors(graph) == [set(), {2}, {1}, {4}, {3}]

    @settings(deadline=None, max_examples=60)
    @given(
        x=npst.arrays(np.float32, st.tuples(st.integers(2, 25), st.just(2)), elements=st.sampled_from([0.0, 1.0, 2.0])),
        k=st.integers(1, 6),
        data=st.data(),
    )
    def test_with_duplicates_no_cell_finds_itself_or_another_batch(self, x, k, data):
        batch = data.draw(npst.arrays(np.int64, len(x), elements=st.integers(0, 2)))
        graph = within_batch_neighbors(x, batch, k)
        size = np.bincount(batch)[batch]
        np.testing.assert_array_equal(graph.degree, np.minimum(k, size - 1))
        for cell, found in enumerate(neighbors(graph)):
            assert len(found) == graph.degree[cell]  # no neighbour twice
            assert cell not in found
            assert all(batch[other] == batch[cell] for other in found)


class TestMutual:
    @pytest.mark.parametrize("k", [1, 3, 100], ids=["one", "some", "more_than_a_batch_has"])
    def test_equals_a_double_loop(self, k):
        x, batch = random_cells()
        similarity = cosine_similarity(x)
        expected: list[set[int]] = [set() for _ in x]
        for i in range(len(x)):
            for j in range(len(x)):
                if batch[i] == batch[j]:
                    continue
                forth = nearest(similarity, i, np.flatnonzero(batch == batch[j]), k)
                back = nearest(similarity, j, np.flatnonzero(batch == batch[i]), k)
                if j in forth and i in back:
                    expected[i].add(j)
        assert any(expected)
        assert neighbors(mutual_neighbors(x, batch, k)) == expected

    @settings(deadline=None, max_examples=30)
    @given(n_cells=st.integers(1, 40), n_batches=st.integers(1, 15), k=st.integers(1, 5), seed=st.integers(0, 99))
    def test_symmetric_and_only_across_batches(self, n_cells, n_batches, k, seed):
        x, batch = random_cells(n_cells, n_batches, seed)
        graph = mutual_neighbors(x, batch, k, rng=np.random.default_rng(seed))
        sparse = graph.to_sparse()
        assert (sparse != sparse.T).nnz == 0
        cells, others = sparse.nonzero()
        assert (batch[cells] != batch[others]).all()

    def test_one_batch_has_none(self):
        x, _ = random_cells(10)
        assert mutual_neighbors(x, np.zeros(10, np.int64), 3).degree.tolist() == [0] * 10

    @pytest.mark.parametrize("n_batches", [2, 5, 9, 10, 20, 41])
    def test_work_grows_with_the_number_of_batches_not_its_square(self, n_batches):
        """With one cell per batch, the mutual neighbours are the batches that were compared."""
        x, _ = random_cells(n_batches)
        graph = mutual_neighbors(x, np.arange(n_batches), 1, n_partners=8)
        assert graph.degree.tolist() == [min(n_batches - 1, 8)] * n_batches

    def test_partners_are_drawn_by_the_generator(self):
        x, batch = random_cells(20)[0], np.arange(20)
        first, again, other = (
            mutual_neighbors(x, batch, 1, n_partners=2, rng=np.random.default_rng(seed)).to_sparse()
            for seed in (0, 0, 1)
        )
        assert (first != again).nnz == 0
        assert (first != other).nnz > 0


class TestManyCells:
    def test_graphs_of_many_cells(self, clustered, monkeypatch, caplog):
        points, batch = clustered(1200), np.arange(1200) % 2
        exact = within_batch_neighbors(points, batch, 5), mutual_neighbors(points, batch, 5)
        monkeypatch.setattr("scproto.graph.search.EXACT_UP_TO", 300)
        monkeypatch.setattr("scproto.graph.search.LISTED_FROM", 300)
        with caplog.at_level("INFO", logger="scproto"):
            found = within_batch_neighbors(points, batch, 5), mutual_neighbors(points, batch, 5)
        for graph_found, expected in zip(found, exact, strict=True):
            shared = graph_found.to_sparse().multiply(expected.to_sparse()).sum()
            assert 0.9 * expected.to_sparse().sum() < shared < expected.to_sparse().sum()
        assert [r.getMessage().split(": ")[0] for r in caplog.records] == [
            "The search for neighbours among 1200 cells is approximate"
        ] * 2

    def test_small_batches_are_searched_exactly(self, clustered, monkeypatch):
        points, batch = clustered(1200), np.arange(1200) % 2
        exact = mutual_neighbors(points, batch, 5)
        monkeypatch.setattr("scproto.graph.search.EXACT_UP_TO", 300)
        assert neighbors(mutual_neighbors(points, batch, 5)) == neighbors(exact)
