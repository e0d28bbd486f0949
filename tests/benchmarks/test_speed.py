from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import speed
import torch
from measuring import fit, growth, loop, stages, tables, throughput
from measuring.setup import SIZES, Setup
from measuring.timers import Timers, timed

import scproto
from scproto.datasets import simulate_atlas
from scproto.losses import negative_binomial_nll


def test_exponent_is_the_least_squares_slope_over_the_measured_sizes():
    sizes = [100, 300, 1_000, 5_000]
    rng = np.random.default_rng(0)
    seconds = [n**1.5 * factor for n, factor in zip(sizes, rng.lognormal(0, 0.2, len(sizes)), strict=True)]
    assert growth.exponent(sizes, seconds) == pytest.approx(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    assert growth.exponent([10, *sizes, 10**6], [0.0, *seconds, None]) == growth.exponent(sizes, seconds)
    assert growth.exponent([5, 6], [None, 1.0]) is None


def ticking():
    """Return a clock that advances by one second per call."""
    return iter(range(1000)).__next__


def test_nested_timers():
    timers = Timers(ticking())
    for _ in range(2):
        with timers("outer"), timers("inner"):
            pass
    with timers("inner"):
        pass
    assert timers.seconds == {"outer": 6, "outer/inner": 2, "inner": 1}
    assert timers.first == {"outer": 0, "outer/inner": 1, "inner": 8}
    assert timers["never"] == 0


def test_functions_are_timed_inside_the_block_and_must_exist():
    before = negative_binomial_nll
    with timed({"scproto.losses:negative_binomial_nll": "likelihood"}) as timers:
        scproto.losses.negative_binomial_nll(
            torch.zeros(1, 1), torch.zeros(1), *torch.zeros(2, 1, dtype=torch.long), torch.ones(1)
        )
    assert timers["likelihood"] > 0
    assert scproto.losses.negative_binomial_nll is before
    with pytest.raises(AttributeError), timed({"scproto.losses:no_such_function": "x"}):
        pass


def test_the_clock_leaves_out_the_first_step_of_an_epoch():
    clock = loop.Clock(ticking())
    for n_steps in (3, 1, 5):
        for index in range(n_steps):
            clock.tick(index, n_steps)
    assert clock.seconds == [1 / 2, 1 / 4]


NAMES = throughput.variants({"batch_sizes": [100], "scvi_batch_sizes": [10, 100]})
ROUNDS = {
    "scproto 100": [{"warm_up": [1.0, 1.0, 9.0], "joint": [3.0]}, {"warm_up": [2.0], "joint": [2.0]}],
    "scvi 10": [{"step": [0.1]}, {"step": [1.0]}],
    "scvi 100": [{"step": [10.0]}, {"step": [2.0]}],
}


def test_ratios_are_taken_within_the_rounds_and_the_better_scvi_counts():
    found = throughput.summarise(ROUNDS, NAMES)
    seconds = 0.5 * 1 + 0.5 * 3
    assert found["cells_per_second"]["scproto 100"] == pytest.approx([100 / seconds, 50])
    assert found["warm_up_ms"]["scproto 100"] == [1000, 2000]
    assert found["ratios"]["scproto 100"]["scvi"] == pytest.approx([1 / seconds, 1])


def test_a_fit_is_timed_in_all_stages(tmp_path):
    source, folder = tmp_path / "atlas.h5ad", tmp_path / "empty"
    folder.mkdir()
    simulate_atlas(150, 60, 2, 3, depth=200, seed=3).write_h5ad(source)
    arguments = {"source": str(source), "batch_key": ["batch"], "folder": str(folder), "max_steps": 12}
    found = fit.measure(arguments | {"n_prototypes": 7, "n_top_genes": 40, "report": False})
    assert sum(found["stages"].values()) == pytest.approx(found["total"])
    assert all(seconds > 0 for name, seconds in found["stages"].items() if name != "load libraries")
    assert all(seconds > 0 for seconds in found["looks"].values())
    assert found["peak_memory_mib"] > 0
    sizes = {name: value for name, value in found.items() if name.startswith("n_")}
    assert sizes.pop("n_model_genes") <= 40
    assert sizes == {"n_cells": 150, "n_genes": 60, "n_batches": 2, "n_prototypes": 7, "n_epochs": 12}
    assert not list(folder.iterdir())
    assert stages.summarise([found, found])["total"] == dict.fromkeys(["median", "least", "most"], found["total"])


def test_existing_results_are_kept_and_must_match_the_setup(tmp_path):
    def exists(part: str, setup: Setup) -> None:
        (tmp_path / f"{part}.json").write_text(json.dumps({"arguments": asdict(setup)}))

    setup = Setup(str(tmp_path))
    assert not speed.is_done("stages", setup)
    exists("stages", setup)
    exists("growth", setup)
    assert speed.is_done("stages", Setup(str(tmp_path), repeats=7))
    assert speed.is_done("growth", Setup(str(tmp_path), "a.h5ad"))
    more = SIZES | {"growth": {"cells": [10]}}
    assert not speed.is_done("growth", Setup(str(tmp_path), sizes=more))
    for other in (Setup(str(tmp_path), threads=2), Setup(str(tmp_path), "a.h5ad"), Setup(str(tmp_path), quick=True)):
        with pytest.raises(speed.MeasurementError, match=r"measured with different (threads|data|quick): use --again"):
            speed.is_done("stages", other)


def test_a_part_runs_in_a_process_and_a_failure_ends_in_one_sentence(tmp_path, capsys):
    given = ["--out", str(tmp_path), "--quick", "--repeats", "1", "--parts"]
    speed.main([*given, "throughput"])
    record = json.loads((tmp_path / "throughput.json").read_text())
    assert record["machine"]["threads"] == 1
    assert set(record["result"]["cells_per_second"]) == {"scproto 32", "scproto 64", "scvi 16", "scvi 64"}
    assert "| scproto, `model.train` | 32 |" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"stages failed: .*; the full output is in"):
        speed.main([*given, "stages", "--data", str(tmp_path / "no.h5ad")])


def test_numbers_have_three_significant_digits():
    values = (None, 0.0, 1e-5, 0.00123, 0.5, 12.34, 12345.6)
    assert [tables.number(value) for value in values] == ["", "0", "0", "0.0012", "0.500", "12.3", "12,346"]
