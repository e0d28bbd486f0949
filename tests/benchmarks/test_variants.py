from __future__ import annotations

import changes
import numpy as np
import pandas as pd
import pytest
import torch
from ablation import HEADS, KEYS, SCORES, add, summarise, tables
from torch.nn import functional as F
from variants import VARIANTS

from scproto.data import views
from scproto.data.module import CellViews
from scproto.data.views import ViewSampler
from scproto.losses import batch_sinkhorn
from scproto.model import module as network
from scproto.model import scproto as model
from scproto.model.module import PrototypeModule
from scproto.nn import _matmul
from scproto.train import plan, schedule
from scproto.train.plan import PrototypePlan


def state():
    changed = (network, model, plan, schedule, views, _matmul, PrototypeModule, PrototypePlan, CellViews, ViewSampler)
    return [dict(vars(one)) for one in changed] + [dict(ViewSampler.__init__.__kwdefaults__)]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_package_is_as_before_after_a_variant(name):
    before = state()
    with VARIANTS[name].change():
        changed = state() != before
    variant = VARIANTS[name]
    assert changed or variant.constants or variant.training or variant.steps != 1 or name == "default"
    assert state() == before


def scores_and_batch(n: int = 60):
    rng = torch.Generator().manual_seed(0)
    unit, prototypes = (F.normalize(torch.randn(k, 4, generator=rng), dim=1) for k in (n, 6))
    return unit @ prototypes.T, torch.randint(0, 2, (n,), generator=rng)


def test_fully_relaxed_is_softmax_and_not_relaxed_is_sinkhorn():
    scores, batch = scores_and_batch()
    constants = {"epsilon": 0.05, "n_iterations": 3, "log_share": torch.full((2, 6), 1 / 6).log()}
    full = changes.relaxed_sinkhorn(scores, batch, 2, relax=1.0, **constants)
    none = changes.relaxed_sinkhorn(scores, batch, 2, relax=0.0, **constants)
    torch.testing.assert_close(full, batch_sinkhorn(scores, batch, 2, **constants))
    torch.testing.assert_close(none, torch.softmax(scores / 0.05, dim=1))


def test_the_queue_balances_the_minibatch_with_the_last_ones():
    module = PrototypeModule(5, 2, 6)
    scores, batch = scores_and_batch(120)
    parts = [(s, b.reshape(2, 10)) for s, b in zip(scores.split(20), batch.split(20), strict=True)]  # two views of ten
    with changes.queue(20):
        queued = [module._assign(*part) for part in parts]
    for found, part in zip(queued[:2], parts[:2], strict=True):  # not full yet
        torch.testing.assert_close(found, module._assign(*part))
    together = torch.cat([s.unflatten(0, (2, 10)) for s, _ in parts[3:]], dim=1).flatten(0, 1)
    expected = module._assign(together, torch.cat([b for _, b in parts[3:]], dim=1)).unflatten(0, (2, 30))[:, 20:]
    torch.testing.assert_close(queued[5], expected.flatten(0, 1))


def test_of_several_starts_the_nearest_centres_are_kept():
    unit = F.normalize(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)), dim=1).numpy()
    weights = np.linspace(0.1, 4, 200, dtype=np.float32)
    alone = [model.spherical_kmeans(unit, 12, weights=weights, seed=7 + i) for i in range(4)]
    with changes.starts(4):
        found = model.spherical_kmeans(unit, 12, weights=weights, seed=7)
    distances = [
        sum(w * min(1 - float(cell @ c) for c in centres) for cell, w in zip(unit, weights, strict=True))
        for centres in alone
    ]
    np.testing.assert_array_equal(found, alone[int(np.argmin(distances))])


def test_propagation_of_the_worst():
    scores = torch.linspace(0, 1, 100).unsqueeze(1)
    with changes.with_propagation(0.05, 0.01):
        trimmed = network.propagation_loss(scores)
    assert trimmed == pytest.approx(1 - float(scores[1:5].mean()))


def test_alike_batches_have_no_alignment_term():
    module = PrototypeModule(5, 2, 6)
    unit = F.normalize(torch.randn(20, 16), dim=1).repeat(2, 1)

    class Cells:
        batch = torch.arange(2).repeat_interleave(20).unsqueeze(0)

    assert float(changes.alignment_term(module, unit, Cells())) == pytest.approx(0, abs=1e-10)
    assert float(changes.alignment_term(module, unit[torch.randperm(40)], Cells())) > 0


def rows(variant, *seeds, data="a"):
    keys = [dict(zip(KEYS, (variant, data, seed, 10, "auto"), strict=True)) for seed in seeds]
    return pd.DataFrame([one | dict.fromkeys(SCORES, float(one["seed"])) for one in keys])


def test_tables_have_mean_and_deviation():
    text = tables(summarise(rows("default", 1, 2)))
    assert "**a**, 10 prototypes" in text
    assert text.count(f"1.500 ± {np.std([1, 2], ddof=1):.3f}") == len(HEADS)
    assert tables(summarise(rows("default", 1))).count("| 1.000 ") == len(HEADS)


def test_a_summary_takes_new_rows_in_place_of_old_ones(tmp_path):
    path = tmp_path / "summary.csv"
    add(summarise(pd.concat([rows("teacher", 1, 2), rows("default", 1, 2)])), path)
    add(summarise(pd.concat([rows("teacher", 3, 5), rows("teacher", 1, data="b")])), path)
    found = pd.read_csv(path)
    assert found[["data", "variant", "seeds", "total_mean"]].to_numpy().tolist() == [
        ["a", "default", 2, 1.5],
        ["a", "teacher", 2, 4.0],
        ["b", "teacher", 1, 1.0],
    ]
    assert tables(found).count("± 1.414 |") == len(HEADS)
