from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scproto._errors import InputError
from scproto.metacells.tree import contract_tree, cut, pool, tree_members, tree_parents, ward_tree


def random_unit(n: int, n_latent: int = 4, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, n_latent))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def naive_cut(prototypes: np.ndarray, n: int) -> list[set[int]]:
    """Merge the two groups whose union adds least to the sum of squares, until n groups are left."""
    groups = [{i} for i in range(len(prototypes))]

    def squares(members: set[int]) -> float:
        x = prototypes[sorted(members)].astype(float)
        return float(((x - x.mean(0)) ** 2).sum())

    def cost(a: set[int], b: set[int]) -> float:
        return squares(a | b) - squares(a) - squares(b)

    while len(groups) > n:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        i, j = min(pairs, key=lambda pair: cost(groups[pair[0]], groups[pair[1]]))
        groups[j] |= groups.pop(i)
    return groups


@pytest.mark.parametrize("n", range(1, 13))
def test_cut_equals_the_naive_one(n):
    prototypes = random_unit(12)
    group = cut(prototypes, n).group
    found = [set(np.flatnonzero(group == g)) for g in range(n)]
    assert sorted(map(sorted, found)) == sorted(map(sorted, naive_cut(prototypes, n)))


def test_names_say_the_level():
    prototypes = random_unit(5)
    assert cut(prototypes).names == cut(prototypes, 5).names == [f"metacell_{i}" for i in range(5)]
    assert cut(prototypes, np.int64(2)).names == ["metacell_0_of_2", "metacell_1_of_2"]
    names = [name for n in range(1, 6) for name in cut(prototypes, n).names]
    assert len(set(names)) == len(names) == 15


@given(st.integers(1, 12), st.integers(0, 20), st.data())
def test_a_finer_level_refines_a_coarser_one(n_prototypes, seed, data):
    prototypes = random_unit(n_prototypes, seed=seed)
    coarse = data.draw(st.integers(1, n_prototypes))
    fine = data.draw(st.integers(coarse, n_prototypes))
    first, second = cut(prototypes, coarse).group, cut(prototypes, fine).group
    assert set(first) == set(range(coarse))
    assert set(second) == set(range(fine))
    assert len(set(zip(second, first, strict=True))) == fine
    # numbered in the order of the first prototypes
    assert (np.diff([np.flatnonzero(first == g)[0] for g in range(coarse)]) > 0).all()


def test_equal_prototypes_still_give_every_level():
    prototypes = np.repeat(random_unit(1), 6, axis=0)
    assert [cut(prototypes, n).group.max() + 1 for n in range(1, 7)] == list(range(1, 7))


@pytest.mark.parametrize("n", [0, -1, 7, 2.0, True, "3"])
def test_levels_that_do_not_exist_are_refused(n):
    with pytest.raises(InputError, match=r"choose a whole number from 1 to 6, its number of prototypes"):
        cut(random_unit(6), n)


def test_pool_is_the_mean_weighted_by_mass():
    values = np.array([[1.0, 0], [2, 0], [3, 6], [5, 8]], dtype=np.float32)
    pooled = pool(values, np.array([0, 1, 0, 2]), np.array([1, 4, 3, 0]))
    np.testing.assert_allclose(pooled, [[2.5, 4.5], [2, 0], [5, 8]])
    unused = pool(values, np.array([0, 0, 1, 1]), np.array([1, 0, 0, 0]))
    np.testing.assert_allclose(unused, [[1, 0], [4, 7]])


def test_tree_merges_the_nearest_first():
    angle = np.array([0.0, 0.1, 1.5, 1.7])
    tree = ward_tree(np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32))
    assert tree.shape == (3, 4)
    assert tree_parents(tree, 4).tolist() == [4, 4, 5, 5]
    chain = ward_tree(np.array([[0.0], [0.1], [0.5], [5.0]], dtype=np.float32))
    assert tree_parents(chain, 4).tolist() == [4, 4, 5, 6]


def test_no_tree_of_one_prototype():
    tree = ward_tree(np.ones((1, 3), dtype=np.float32))
    assert tree.shape == (0, 4)
    assert tree_parents(tree, 1).tolist() == [-1]


def test_tree_is_unchanged_if_nothing_is_contracted():
    tree = ward_tree(random_unit(9))
    np.testing.assert_array_equal(contract_tree(tree, np.arange(9)), tree)


def test_contracted_tree_leaves_out_unused_prototypes():
    chain = ward_tree(np.array([[0.0], [0.1], [0.5], [5.0]], dtype=np.float32))
    np.testing.assert_allclose(contract_tree(chain, np.array([0, -1, 1, 2]))[:, [0, 1, 3]], [[0, 1, 2], [2, 3, 3]])
    np.testing.assert_allclose(contract_tree(chain, np.array([-1, -1, 0, 1])), [[0, 1, chain[2, 2], 2]])
    assert contract_tree(chain, np.array([-1, 0, -1, -1])).shape == (0, 4)


@given(st.integers(2, 12), st.integers(0, 20), st.data())
def test_contracted_tree_cuts_like_the_whole_one(n_prototypes, seed, data):
    from scipy.cluster.hierarchy import cut_tree

    prototypes = random_unit(n_prototypes, seed=seed)
    fine = data.draw(st.integers(1, n_prototypes))
    coarse = data.draw(st.integers(1, fine))
    tree = contract_tree(ward_tree(prototypes), cut(prototypes, fine).group)
    assert tree.shape == (fine - 1, 4)
    if fine > 1:
        of_rows = cut_tree(tree, n_clusters=coarse).ravel()[cut(prototypes, fine).group]
        assert len(set(zip(of_rows, cut(prototypes, coarse).group, strict=True))) == coarse


@pytest.mark.parametrize("n_prototypes", [1, 2, 9])
def test_members_of_the_nodes(n_prototypes):
    from scipy.cluster.hierarchy import to_tree

    tree = ward_tree(random_unit(n_prototypes))
    members = tree_members(tree, n_prototypes)
    assert members.shape == (2 * n_prototypes - 1, n_prototypes)
    if n_prototypes == 1:
        assert members.tolist() == [[True]]
        return
    for node in to_tree(tree, rd=True)[1]:
        assert sorted(np.flatnonzero(members[node.id])) == sorted(node.pre_order())
