from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scproto.data.sampler import DECODED_GENES, Guidance, Request, ViewSampler
from scproto.graph import KnnGraph

# Ten cells: 0 to 4 in one batch, 5 to 9 in another. The last of each has no neighbour.
TABLE = [[1, 2], [0, 2], [1, 3], [0, 4], [-1, -1], [6, 7], [5, 7], [6, 8], [5, 9], [-1, -1]]
WITHIN = KnnGraph.from_table(np.array(TABLE))
CROSS = KnnGraph.from_table(np.array([[5], [-1], [-1], [-1], [9], [0], [-1], [-1], [-1], [4]]))
GENES = np.array([3, 0, 6, 2, 1, 5, 4])


def sampler(batch_size: int = 4, steps: int = 5, *, paired: bool = True, **arguments) -> ViewSampler:
    result = ViewSampler(WITHIN, GENES, batch_size, steps, **arguments)
    follow(result, paired=paired)
    return result


def follow(of: ViewSampler, weights=(1.0,) * 10, **guidance) -> None:
    """Give a sampler these weights and other guidance."""
    of.follow(Guidance(np.array(weights), **{"paired": True} | guidance))


def epochs(of: ViewSampler, n: int = 1) -> np.ndarray:
    """Cells of all minibatches, ``(n * steps, n_views, n_cells)``."""
    return np.concatenate([np.stack([request.views for request in of]) for _ in range(n)])


@pytest.mark.parametrize("paired", [False, True], ids=["cells_alone", "pairs"])
@pytest.mark.parametrize("batch_size", [1, 4, 10, 64])
def test_shapes(paired, batch_size):
    views = sampler(batch_size, 3, paired=paired)
    assert len(views) == 3
    assert epochs(views).shape == (3, 1 + paired, min(batch_size, 10))


WEIGHTS = st.one_of(
    st.just([1.0] * 10),
    st.just([0.0, 2.0] * 5),
    st.just([1.0] * 9 + [0.0]),
    st.just([1e-6] * 9 + [1.0]),
    st.lists(st.floats(0, 100, width=32), min_size=10, max_size=10).filter(lambda w: sum(w) > 0.01),
)


@settings(deadline=None, max_examples=200)
@given(batch_size=st.integers(1, 12), steps=st.integers(1, 9), weights=WEIGHTS, seed=st.integers(0, 99))
def test_a_cell_is_drawn_as_often_as_its_weight_says_rounded_up_or_down(batch_size, steps, weights, seed):
    views = sampler(batch_size, steps, seed=seed)
    follow(views, weights := np.array(weights, np.float32))
    for _ in range(2):
        anchors = epochs(views)[:, 0].ravel()
        times, share = np.bincount(anchors, minlength=10), len(anchors) * weights / np.sum(weights)
        assert len(anchors) == steps * min(batch_size, 10)
        assert (times >= np.floor(share - 1e-5)).all()
        assert (times <= np.ceil(share + 1e-5)).all()
        assert not times[weights == 0].any()


def test_cells_of_equal_weight_are_drawn_equally_often():
    assert (np.bincount(epochs(sampler(10, 7))[:, 0].ravel()) == 7).all()


def naive_systematic_sample(weights, n, rng):
    """Walk along the cells in random order and take the cell that stands at each tick."""
    order, start = rng.permutation(len(weights)), rng.random()
    drawn, end = [], 0.0
    for cell in order:
        end += weights[cell]
        while len(drawn) < n and (len(drawn) + start) * sum(weights) / n < end:
            drawn.append(cell)
    return np.array(drawn)[rng.permutation(n)]


@pytest.mark.parametrize("seed", range(5))
def test_anchors_are_a_systematic_sample(seed):
    views = sampler(4, 5, seed=seed)
    follow(views, weights := [0.1, 3.0, 0.0, 1.0, 1.0, 0.5, 7.0, 0.0, 0.25, 2.0])
    expected = naive_systematic_sample(weights, 20, np.random.default_rng(seed))
    np.testing.assert_array_equal(epochs(views)[:, 0].ravel(), expected)


def test_a_cell_of_small_weight_is_drawn_in_its_share_of_the_epochs():
    views = sampler(1, 1)
    follow(views, weights := np.array([1.0] * 9 + [3.0]))
    times = np.bincount(epochs(views, 2400)[:, 0].ravel(), minlength=10)
    np.testing.assert_allclose(times, 200 * weights, atol=60)


def test_a_heavy_cell_is_spread_over_the_minibatches():
    views = sampler(10, 20)
    follow(views, [11.0] + [1.0] * 9)  # 110 of 200
    of_minibatch = (epochs(views)[:, 0] == 0).sum(1)
    assert of_minibatch.max() < 10
    assert of_minibatch.min() > 0


def test_each_epoch_is_shuffled_anew():
    views = sampler(10, 1)
    assert not np.array_equal(epochs(views)[0, 0], epochs(views)[0, 0])


def test_the_seed_determines_the_draws():
    first, again, other = (epochs(sampler(seed=seed), 2) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_anchors_of_the_guidance_come_first():
    views, last = sampler(2, 2), [0.0] * 9 + [1.0]
    ahead = tuple(views.draw(np.ones(10)) for _ in range(3))
    follow(views, last, anchors=ahead)
    np.testing.assert_array_equal(epochs(views, 3)[:, 0].ravel(), np.concatenate(ahead))
    assert len(np.unique(ahead)) > 4  # cells of more than one epoch
    assert (epochs(views, 2)[:, 0] == 9).all()


def test_new_guidance_replaces_anchors_that_were_not_used():
    views = sampler(2, 2)
    follow(views, anchors=tuple(views.draw(np.ones(10)) for _ in range(5)))
    epochs(views, 2)
    follow(views, [1.0, 2.0] + [0.0] * 8)
    assert set(epochs(views)[:, 0].ravel()) == {0, 1}


@pytest.mark.parametrize("n_epochs", [0, 1, 2, 5])
def test_a_restored_sampler_continues_as_the_first_would(n_epochs, monkeypatch):
    """Even in the middle of the cells drawn in advance, or of a round of gene blocks."""
    monkeypatch.setattr("scproto.data.sampler.DECODED_GENES", 2)
    first = sampler(3, 3, seed=1)
    follow(first, cross=CROSS, anchors=tuple(first.draw(np.ones(10)) for _ in range(3)))
    for _ in range(n_epochs):
        list(first)
    state = first.state()
    expected = [request for _ in range(4) for request in first]
    again = sampler(3, 3, seed=7)
    again.follow(first.guidance)
    again.restore(state)
    for found, wanted in zip([request for _ in range(4) for request in again], expected, strict=True):
        np.testing.assert_array_equal(found.views, wanted.views)
        np.testing.assert_array_equal(found.genes, wanted.genes)


def pairs(of: ViewSampler) -> list[tuple[int, int]]:
    views = epochs(of, 60)
    return list(zip(views[:, 0].ravel().tolist(), views[:, 1].ravel().tolist(), strict=True))


def allowed(cell: int, graph: KnnGraph) -> set[int]:
    return set(graph.indices[slice(*graph.indptr[cell : cell + 2])].tolist()) or {cell}


def test_partners_are_neighbours_of_the_same_batch():
    seen: dict[int, set[int]] = {}
    for cell, partner in pairs(sampler()):
        seen.setdefault(cell, set()).add(partner)
    assert seen == {cell: allowed(cell, WITHIN) for cell in range(10)}


def test_only_cells_with_a_mutual_neighbour_get_a_partner_of_another_batch():
    views = sampler(cross_share=1.0)
    follow(views, cross=CROSS)
    seen: dict[int, set[int]] = {}
    for cell, partner in pairs(views):
        seen.setdefault(cell, set()).add(partner)
    has_cross = {0, 4, 5, 9}
    assert seen == {cell: allowed(cell, CROSS if cell in has_cross else WITHIN) for cell in range(10)}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5])
def test_share_of_the_draws_from_other_batches(share):
    views = sampler(cross_share=share)
    follow(views, cross=CROSS)
    crossed = [partner == 5 for cell, partner in pairs(views) if cell == 0]
    assert len(crossed) == 120
    assert np.mean(crossed) == pytest.approx(share, abs=0.12 if share else 0)


def blocks(genes: np.ndarray, *, steps: int = 4, seed: int = 0) -> Iterator[np.ndarray]:
    """Genes of each minibatch, epoch after epoch."""
    of = ViewSampler(WITHIN, genes, 2, steps, seed=seed)
    while True:
        yield from (request.genes for request in of)


def rounds(genes: np.ndarray, n: int, n_decoded: int = DECODED_GENES, **arguments) -> list[list[np.ndarray]]:
    """Blocks of the first rounds; a round ends when its blocks have as many genes as there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scproto.data.sampler.DECODED_GENES", n_decoded)
        come, found = blocks(genes, **arguments), []
        for _ in range(n):
            found.append([next(come)])
            while sum(map(len, found[-1])) < len(genes):
                found[-1].append(next(come))
    return found


def test_requests_name_cells_and_genes():
    for request in sampler(4, 3):
        assert isinstance(request, Request)
        assert request.views.shape == (2, 4)
        assert request.views.dtype == request.genes.dtype == np.int64


@pytest.mark.parametrize("n_genes", [1, 2, 7, DECODED_GENES - 1, DECODED_GENES, DECODED_GENES + 1])
def test_few_genes_are_decoded_all_at_once(n_genes):
    genes = np.random.default_rng(0).permutation(n_genes)
    for block in islice(blocks(genes), 9):
        np.testing.assert_array_equal(np.sort(block), np.arange(n_genes))


@pytest.mark.parametrize(("n_genes", "n_blocks"), [(1000, 2), (1999, 4), (2000, 4), (2001, 4), (10_003, 20)])
def test_many_genes_are_decoded_in_blocks_of_about_500(n_genes, n_blocks):
    for blocks_of_round in rounds(np.arange(n_genes), 2):
        assert len(blocks_of_round) == n_blocks
        assert {len(block) for block in blocks_of_round} == {n_genes // n_blocks, -(-n_genes // n_blocks)}


@settings(deadline=None, max_examples=200)
@given(n_genes=st.integers(1, 60), n_decoded=st.integers(1, 70), steps=st.integers(1, 5), seed=st.integers(0, 99))
def test_each_round_of_blocks_has_every_gene_once(n_genes, n_decoded, steps, seed):
    genes = 3 * np.random.default_rng(seed).permutation(n_genes)  # numbers of genes, not their positions in the array
    for blocks_of_round in rounds(genes, 3, n_decoded, steps=steps, seed=seed):
        np.testing.assert_array_equal(np.sort(np.concatenate(blocks_of_round)), np.sort(genes))
        sizes = [len(block) for block in blocks_of_round]
        assert len(sizes) == max(1, round(n_genes / n_decoded))
        assert 0 < max(sizes) <= min(sizes) + 1


@settings(deadline=None, max_examples=200)
@given(n_genes=st.integers(1, 60), n_decoded=st.integers(1, 25), seed=st.integers(0, 99))
def test_genes_of_similar_abundance_go_to_different_blocks(n_genes, n_decoded, seed):
    genes = np.random.default_rng(seed).permutation(n_genes)
    for blocks_of_round in rounds(genes, 2, n_decoded, seed=seed):
        n_blocks = len(blocks_of_round)
        block_of = {gene: block for block, dealt in enumerate(blocks_of_round) for gene in dealt.tolist()}
        for start in range(0, n_genes, n_blocks):
            hands = [block_of[gene] for gene in genes[start : start + n_blocks].tolist()]
            assert len(set(hands)) == len(hands)


@settings(deadline=None, max_examples=200)
@given(
    abundance=st.lists(st.floats(0, 1e4, width=32), min_size=1, max_size=60).map(sorted),
    n_decoded=st.integers(1, 25),
    seed=st.integers(0, 99),
)
def test_blocks_have_similar_abundance(abundance, n_decoded, seed):
    """They differ by at most the most abundant gene, or twice that if some blocks have one gene more."""
    abundance = np.array(abundance)
    for blocks_of_round in rounds(np.arange(len(abundance)), 2, n_decoded, seed=seed):
        sums = [abundance[block].sum() for block in blocks_of_round]
        left_over = abundance[-1] if len(abundance) % len(sums) else 0.0
        assert max(sums) - min(sums) <= abundance[-1] - abundance[0] + left_over + 1e-6 * abundance.sum()


def test_blocks_of_many_genes_have_nearly_equal_abundance():
    abundance = np.sort(np.random.default_rng(0).gamma(0.3, size=10_000))
    for blocks_of_round in rounds(np.arange(10_000), 5):
        sums = np.array([abundance[block].sum() for block in blocks_of_round])
        assert len(sums) == 20
        assert sums.std() < 0.01 * sums.mean()  # 0.08 for 500 genes drawn regardless of abundance


def test_each_gene_takes_its_turn_and_meets_the_others():
    """Each of twelve genes in blocks of four is in the first block of a third of the rounds.

    It meets all genes but the two that are dealt together with it.
    """
    first, met = np.zeros(12), np.zeros((12, 12))
    for blocks_of_round in rounds(np.arange(12), 900, 4):
        first[blocks_of_round[0]] += 1
        for block in blocks_of_round:
            met[np.ix_(block, block)] += 1
    np.testing.assert_allclose(first, 300, atol=60)
    same_hand = np.kron(np.eye(4), np.ones((3, 3))).astype(bool)
    assert (met[same_hand & ~np.eye(12, dtype=bool)] == 0).all()
    np.testing.assert_allclose(met[~same_hand], 300, atol=60)


def test_rounds_continue_across_epochs():
    """Blocks that one epoch leaves over come in the next."""
    (by_single_steps,) = rounds(GENES, 1, 2, steps=1)
    assert len(by_single_steps) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate(by_single_steps)), np.arange(7))


def test_the_seed_determines_the_blocks():
    genes = np.arange(2000)
    first, again, other = (np.stack(list(islice(blocks(genes, seed=seed), 8))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(np.sort(first), np.sort(other))
    assert not np.array_equal(np.sort(first[:4]), np.sort(first[4:]))  # dealt anew


def test_genes_are_not_changed():
    genes = np.arange(1003)
    list(islice(blocks(genes), 5))
    np.testing.assert_array_equal(genes, np.arange(1003))


def grouped(n_groups: int, n_each: int, batch_size: int, steps: int) -> ViewSampler:
    """Sampler of cells without neighbours, whose batches form groups."""
    alone = KnnGraph.from_table(np.full((n_groups * n_each, 1), -1))
    group = np.arange(n_groups * n_each) % n_groups
    return ViewSampler(alone, GENES, batch_size, steps, group=group)


def test_with_many_groups_a_minibatch_holds_enough_cells_of_few_groups():
    views = grouped(20, 320, 256, 25)
    minibatches = epochs(views)[:, 0]
    assert sorted(minibatches.ravel()) == list(range(6400))
    for cells in minibatches:
        assert (np.bincount(cells % 20)[np.unique(cells % 20)] == 32).all()
    assert len({tuple(np.unique(cells % 20)) for cells in minibatches}) > 1


def test_with_many_small_groups_every_drawn_cell_is_in_a_minibatch():
    views = grouped(30, 5, 50, 3)
    assert sorted(epochs(views)[:, 0].ravel()) == list(range(150))


def test_few_groups_are_mixed_in_every_minibatch():
    views = grouped(8, 320, 256, 10)
    assert all(len(np.unique(cells % 8)) == 8 for cells in epochs(views)[:, 0])
    assert max(np.bincount(cells % 8).max() for cells in epochs(views)[:, 0]) > 32
