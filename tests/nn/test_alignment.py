"""Invariants of the alignment that hold for any number of rounds and any constants."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import Tensor
from torch.nn import functional as F

from scproto.nn import Alignment, align_query, fit_alignment
from scproto.nn.alignment import soft_means

N_TYPES, N_LATENT = 6, 10


def atlas(n_each: int = 40, n_batches: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit vectors without a batch effect, their batches and types, and the centres of the types."""
    random = torch.Generator().manual_seed(seed)
    centres = F.normalize(torch.randn(N_TYPES, N_LATENT, generator=torch.Generator().manual_seed(99)), dim=1)
    kind = torch.arange(N_TYPES).repeat_interleave(n_each).repeat(n_batches)
    batch = torch.arange(n_batches).repeat_interleave(N_TYPES * n_each)
    noise = 0.05 * torch.randn(len(kind), N_LATENT, generator=random)
    return F.normalize(centres[kind] + noise, dim=1), batch, kind, centres


def shifted(unit: Tensor, batch: Tensor) -> Tensor:
    """Push all cells of the last batch in the same direction."""
    push = 0.25 * F.normalize(torch.randn(N_LATENT, generator=torch.Generator().manual_seed(7)), dim=0)
    return F.normalize(unit + push * (batch == batch.max()).unsqueeze(1), dim=1)


def rotated(unit: Tensor, batch: Tensor) -> Tensor:
    """Turn all cells of the last batch about the origin."""
    skew = np.random.default_rng(7).normal(size=(N_LATENT, N_LATENT))
    turn = torch.from_numpy(expm(0.05 * (skew - skew.T))).float()
    return torch.where((batch == batch.max()).unsqueeze(1), unit @ turn, unit)


def gap(unit: Tensor, batch: Tensor, kind: Tensor) -> float:
    """Mean distance between the batches' means of the same type."""
    means = torch.stack(
        [
            torch.stack([unit[(batch == b) & (kind == k)].mean(0) for k in range(N_TYPES)])
            for b in torch.unique(batch).tolist()
        ]
    )
    n_pairs = len(means) * (len(means) - 1)
    return float((means.unsqueeze(0) - means.unsqueeze(1)).norm(dim=-1).sum() / (n_pairs * N_TYPES))


EFFECTS = pytest.mark.parametrize("effect", [shifted, rotated])


@EFFECTS
def test_batches_come_together(effect):
    clean, batch, kind, centres = atlas()
    unit = effect(clean, batch)
    alignment, *_ = fit_alignment(unit, batch, centres, 3)
    assert gap(unit, batch, kind) > 0.1
    assert gap(alignment(unit, batch), batch, kind) < 0.7 * gap(unit, batch, kind)


@EFFECTS
def test_types_stay_apart(effect):
    clean, batch, kind, centres = atlas()
    unit = effect(clean, batch)
    alignment, prototypes, _ = fit_alignment(unit, batch, centres, 3)
    assert torch.equal((alignment(unit, batch) @ prototypes.T).argmax(1), kind)


@EFFECTS
def test_aligns_other_cells_of_the_same_batches(effect):
    clean, batch, _, centres = atlas()
    alignment, *_ = fit_alignment(effect(clean, batch), batch, centres, 3)
    new, new_batch, new_kind, _ = atlas(seed=1)
    new = effect(new, new_batch)
    assert gap(alignment(new, new_batch), new_batch, new_kind) < 0.75 * gap(new, new_batch, new_kind)


def test_result_lies_on_the_sphere():
    clean, batch, _, centres = atlas()
    unit = shifted(clean, batch)
    alignment, prototypes, aligned = fit_alignment(unit, batch, centres, 3)
    torch.testing.assert_close(aligned.norm(dim=1), torch.ones(len(unit)))
    torch.testing.assert_close(alignment(unit, batch).norm(dim=1), torch.ones(len(unit)))
    torch.testing.assert_close(prototypes.norm(dim=1), torch.ones(N_TYPES))


def test_aligned_cells_are_those_of_the_alignment():
    clean, batch, _, centres = atlas()
    unit = rotated(clean, batch)
    alignment, _, aligned = fit_alignment(unit, batch, centres, 3)
    torch.testing.assert_close(alignment(unit, batch), aligned, atol=1e-6, rtol=0)


def test_without_rounds_nothing_moves():
    unit, batch, _, centres = atlas()
    alignment, prototypes, aligned = fit_alignment(unit, batch, centres, 3, n_rounds=0)
    assert torch.equal(alignment(unit, batch), unit)
    assert torch.equal(aligned, unit)
    assert torch.equal(prototypes, centres)


def spreads(alignment, unit, batch, prototypes):
    """Mean distance of the cells to the nearest prototype after each round."""
    found = []
    for anchors, offsets in zip(alignment.prototypes, alignment.offsets, strict=True):
        found.append(spread(unit, batch, anchors))
        unit = Alignment(anchors[None], offsets[None])(unit, batch)
    return [*found[1:], spread(unit, batch, prototypes)]


def spread(unit, batch, prototypes):
    """Loop over the cells; all batches have the same weight."""
    nearest = [min(1 - float(cell @ prototype) for prototype in prototypes) for cell in unit]
    return np.mean([np.mean([d for d, c in zip(nearest, batch, strict=True) if c == b]) for b in batch.unique()])


@EFFECTS
@pytest.mark.parametrize("tolerance", [0.3, 0.05])
def test_goes_on_while_the_cells_come_nearer_to_their_prototypes(effect, tolerance):
    clean, batch, _, centres = atlas()
    unit = effect(clean, batch)
    keep = torch.ones(len(unit), dtype=torch.bool)
    keep[:50] = False  # batches of unequal size
    unit, batch = unit[keep], batch[keep]
    alignment, prototypes, _ = fit_alignment(unit, batch, centres, 3, tolerance=tolerance)
    found = spreads(alignment, unit, batch, prototypes)
    falls = 1 - np.array(found[1:]) / np.array(found[:-1])
    assert len(falls) >= 1
    assert (falls[:-1] >= tolerance).all()
    assert falls[-1] < tolerance


def test_takes_no_more_rounds_than_asked_for():
    clean, batch, _, centres = atlas()
    alignment, *_ = fit_alignment(rotated(clean, batch), batch, centres, 3, n_rounds=4, tolerance=-np.inf)
    assert len(alignment.prototypes) == len(alignment.offsets) == 4


def test_batches_that_do_not_differ_need_few_rounds():
    unit, batch, _, centres = atlas()
    alignment, *_ = fit_alignment(unit, batch, centres, 3)
    assert len(alignment.offsets) == 2


def test_does_not_change_its_input():
    unit, batch, _, centres = atlas()
    before = unit.clone(), centres.clone()
    alignment, *_ = fit_alignment(unit, batch, centres, 3)
    alignment(unit, batch)
    assert torch.equal(unit, before[0])
    assert torch.equal(centres, before[1])


def test_is_deterministic():
    clean, batch, _, centres = atlas()
    unit = rotated(clean, batch)
    results = [fit_alignment(unit, batch, centres, 3) for _ in range(2)]
    assert torch.equal(*(alignment(unit, batch) for alignment, _, _ in results))
    assert torch.equal(*(prototypes for _, prototypes, _ in results))


def test_identical_batches_stay_where_they_are():
    one, _, _, centres = atlas(n_batches=1)
    unit, batch = one.repeat(3, 1), torch.arange(3).repeat_interleave(len(one))
    alignment, *_ = fit_alignment(unit, batch, centres, 3)
    torch.testing.assert_close(alignment(unit, batch), unit, atol=1e-5, rtol=0)


def test_one_batch_stays_where_it_is():
    unit, batch, kind, centres = atlas(n_batches=1)
    alignment, prototypes, _ = fit_alignment(unit, batch, centres, 1)
    torch.testing.assert_close(alignment(unit, batch), unit, atol=1e-6, rtol=0)
    means = torch.stack([unit[kind == k].mean(0) for k in range(N_TYPES)])
    torch.testing.assert_close(
        prototypes, F.normalize(means, dim=1), atol=1e-5, rtol=0
    )  # the prototypes still follow the cells


def test_absent_batch_changes_nothing():
    clean, batch, _, centres = atlas(n_batches=2)
    unit = shifted(clean, batch)
    with_gap, *_ = fit_alignment(unit, 2 * batch, centres, 3)  # batch 1 has no cells
    without, *_ = fit_alignment(unit, batch, centres, 2)
    torch.testing.assert_close(with_gap(unit, 2 * batch), without(unit, batch), atol=1e-6, rtol=0)


def test_batch_of_one_cell_is_hardly_moved():
    unit, _, _, centres = atlas(n_batches=1)
    unit, batch = torch.cat([unit, centres[:1]]), torch.tensor([0] * len(unit) + [1])
    alignment, *_ = fit_alignment(unit, batch, centres, 2)
    aligned = alignment(unit, batch)
    assert torch.isfinite(aligned).all()
    assert (aligned * unit).sum(1).min() > 0.95


def test_result_of_a_cell_does_not_depend_on_the_others():
    clean, batch, _, centres = atlas()
    unit = shifted(clean, batch)
    alignment, *_ = fit_alignment(unit, batch, centres, 3)
    some = torch.arange(0, len(unit), 17)
    torch.testing.assert_close(alignment(unit[some], batch[some]), alignment(unit, batch)[some], atol=1e-6, rtol=0)


def query_by_loop(unit, batch, prototypes, centres, n_batches, n_rounds):
    """The rounds of a query, cell by cell."""
    unit, prototypes, centres = (x.double().numpy() for x in (unit, prototypes, centres))
    for _ in range(n_rounds):
        moved = np.empty_like(unit)
        for b in range(n_batches):
            cells = [i for i in range(len(unit)) if batch[i] == b]
            weights = {}
            for i in cells:
                score = np.exp(prototypes @ unit[i] / 0.025 - (prototypes @ unit[i] / 0.025).max())
                weights[i] = score / score.sum()
            mass = sum(weights[i] for i in cells)
            trust = mass / (mass + 1 + 2 * mass.mean())
            mean = np.stack([sum(weights[i][k] * unit[i] for i in cells) / mass[k] for k in range(len(mass))])
            for i in cells:
                away = unit[i] - weights[i] @ (trust[:, None] * (mean - centres))
                moved[i] = away / np.linalg.norm(away)
        unit = moved
    return unit


def test_a_query_is_aligned_like_in_a_loop():
    unit, batch, _, centres = atlas(10)
    means = soft_means(unit[batch == 0], centres)[0]
    new = batch > 0
    query, codes = shifted(unit, batch)[new], batch[new] - 1
    found = align_query(query, codes, centres, means, 2, n_rounds=2)(query, codes)
    expected = query_by_loop(query, codes, centres, means, 2, 2)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_a_query_moves_onto_the_reference():
    unit, batch, kind, centres = atlas(100)
    own = batch < 2
    means = soft_means(unit[own], centres)[0]
    moved = shifted(unit, batch)
    codes = torch.zeros(int((~own).sum()), dtype=torch.long)
    aligned = moved.clone()
    aligned[~own] = align_query(moved[~own], codes, centres, means, 1)(moved[~own], codes)
    two = (~own).long()
    assert gap(aligned, two, kind) < 0.5 * gap(moved, two, kind)


def test_a_single_cell_of_a_query_hardly_moves():
    unit, _, _, centres = atlas(100)
    one = F.normalize(unit[:1] + 0.2, dim=1)
    codes = torch.zeros(1, dtype=torch.long)
    aligned = align_query(one, codes, centres, soft_means(unit, centres)[0], 1)(one, codes)
    assert torch.isfinite(aligned).all()
    assert float((aligned * one).sum()) > 0.9
