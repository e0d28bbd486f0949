from __future__ import annotations

from types import SimpleNamespace

from stability import rows

from scproto.datasets import simulate_atlas


def test_a_row_per_level_compares_repeats_with_trainings(tmp_path):
    path = tmp_path / "cells.h5ad"
    simulate_atlas(200, 60, 2, 3, seed=2).write_h5ad(path)
    given = SimpleNamespace(seeds=[0, 1], max_steps=20, levels=[2, 8])
    finest, coarse = rows(given, path, 8)
    assert (finest["level"], coarse["level"]) == (8, 2)
    for row in (finest, coarse):
        for name in ("overlap_repeats", "overlap_trainings", "dissolved_repeats", "dissolved_trainings"):
            assert 0 <= row[name] <= 1
        assert row["share_of_fit"] > 0
    assert -1 <= finest["rank_again"] <= 1
