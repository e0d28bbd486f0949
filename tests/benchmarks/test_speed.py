from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import speed
import torch
from measuring import device, fit, floor, growth, loop, stages, step, tables, throughput, whole
from measuring.setup import CELLS, TINY, Setup, Sizes
from measuring.textbook import textbook, textbook_nll
from measuring.timers import Timers, timed
from measuring.variants import for_scvi
from torch.utils.flop_counter import FlopCounterMode

import scproto
from scproto.data.module import CellViews
from scproto.data.views import Request
from scproto.datasets import simulate_atlas
from scproto.losses import negative_binomial_nll
from scproto.model.module import PrototypeModule

SIZES = [100, 300, 1_000, 5_000]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponent_of_a_power_law(power):
    assert growth.exponent(SIZES, [0.3 * n**power for n in SIZES]) == pytest.approx(power, abs=1e-9)


def test_exponent_is_the_least_squares_line_and_leaves_out_what_was_not_measured():
    rng = np.random.default_rng(0)
    seconds = [n**1.5 * factor for n, factor in zip(SIZES, rng.lognormal(0, 0.2, len(SIZES)), strict=True)]
    assert growth.exponent(SIZES, seconds) == pytest.approx(np.polyfit(np.log(SIZES), np.log(seconds), 1)[0])
    assert growth.exponent([10, *SIZES, 10**6], [0.0, *seconds, None]) == growth.exponent(SIZES, seconds)
    assert growth.exponent([5], [1.0]) is None
    assert growth.exponent([5, 6], [None, 1.0]) is None


SHAPES = floor.Shapes(
    rows=4,
    anchors=2,
    genes=10,
    decoded=3,
    hidden=5,
    latent=2,
    batch_latent=1,
    prototypes=6,
    parameters=100,
    stored=8,
    counts=4,
    dense=False,
    fast="bfloat16",
)


def test_floor_by_hand():
    flops = {
        floor.FIRST: 2 * 8 * 5,  # every stored entry by every hidden unit
        floor.REST: 2 * 4 * (5 * 5 + 5 * 2),
        floor.DECODER: 2 * 2 * ((2 + 1) * 5 + 5 * 3),
        floor.PROTOTYPES: 2 * 4 * 2 * 6,
        # a product for the gradient of each input and one for that of each weight; the first has no gradient of x, and
        # its 8 entries are rounded to 1 for each of the 10 genes
        floor.BACKWARD: 2 * 10 * 1 * 5 + 2 * (2 * 4 * (5 * 5 + 5 * 2) + 2 * 2 * (3 * 5 + 5 * 3) + 2 * 4 * 2 * 6),
    }
    n_bytes = {
        floor.GATHER: 8 * (4 * 8 + 3 * 4),
        floor.REST: 2 * 8 * 20,
        floor.DECODER: 8 * (10 + 15),
        floor.LIKELIHOOD: 4 * (6 + 12),
        floor.PROTOTYPES: 8 * 24,
        floor.BACKWARD: 12 * (2 * 20 + 10) + 8 * (6 + 24) + 4 * (2 * 15 + 50),
        floor.OPTIMISER: 28 * 100,
    }
    found = floor.floor(
        floor.products(SHAPES), floor.moves(SHAPES), lambda product: product.flops / 1e3, lambda n: n / 1e2
    )
    expected = {piece: flops.get(piece, 0) / 1e3 + n_bytes.get(piece, 0) / 1e2 for piece in floor.PIECES}
    assert found == pytest.approx(expected)
    assert {p.precision for p in floor.products(SHAPES) if p.piece == floor.DECODER} == {"bfloat16"}
    assert {p.precision for p in floor.products(SHAPES) if p.piece == floor.FIRST} == {"bfloat16"}
    assert {p.precision for p in floor.products(SHAPES) if p.piece == floor.PROTOTYPES} == {"float32"}


def test_rates_are_measured_once_for_each_size():
    rates = floor.Rates(0.0005)
    product = floor.Product(floor.REST, 8, 4, 6, "bfloat16")
    assert rates.product_seconds(product) == rates.product_seconds(product) > 0
    assert rates.move_seconds(4096) == rates.move_seconds(4096) > 0


@pytest.fixture
def cells() -> CellViews:
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (20, 7)).astype(np.float32))
    return CellViews(counts, np.arange(20) % 2)


@pytest.fixture
def module() -> PrototypeModule:
    torch.manual_seed(0)
    return PrototypeModule(7, 2, 3, n_latent=4, n_hidden=6).eval()  # no dropout


def test_all_products_of_a_step_are_in_the_floor(cells, module):
    minibatch = cells[Request(np.arange(20).reshape(2, 10), np.array([5, 1, 2]))]
    with FlopCounterMode(display=False) as counter:
        module.loss(minibatch, prototypes=True).total.backward()
    shapes = step.shapes_of(module, [minibatch])
    assert shapes.dense
    assert (shapes.rows, shapes.anchors, shapes.genes, shapes.decoded) == (20, 10, 7, 3)
    assert (shapes.stored, shapes.counts) == (cells.counts.nnz, cells.counts[:10, [5, 1, 2]].nnz)
    assert sum(product.flops for product in floor.products(shapes)) == counter.get_total_flops()


def test_the_textbook_model_has_the_same_objective(monkeypatch, cells, module):
    monkeypatch.setattr("scproto.nn._matmul.trains", lambda _: False)
    request = Request(np.arange(20).reshape(2, 10), np.arange(7))
    expected = module.loss(cells[request], prototypes=True)
    with textbook():
        found = module.loss(cells[request], prototypes=True)
    for name, value in expected.terms.items():
        torch.testing.assert_close(found.terms[name], value, rtol=1e-5, atol=1e-5)


def test_the_textbook_likelihood():
    random = torch.Generator().manual_seed(0)
    log_mean, log_theta = torch.randn(5, 4, generator=random), torch.randn(4, generator=random)
    rows, columns = torch.tensor([0, 0, 3, 4]), torch.tensor([1, 3, 0, 3])
    counts = torch.tensor([1.0, 7.0, 2.0, 40.0])
    found = textbook_nll(log_mean, log_theta, rows, columns, counts)
    torch.testing.assert_close(found, negative_binomial_nll(log_mean, log_theta, rows, columns, counts))


def ticking():
    """A clock that is one second later at each look."""
    return iter(range(1000)).__next__


def test_timers_within_timers():
    timers = Timers(ticking())
    for _ in range(2):
        with timers("outer"), timers("inner"):
            pass
    with timers("inner"):
        pass
    assert timers.seconds == {"outer": 6, "outer/inner": 2, "inner": 1}
    assert timers.first == {"outer": 0, "outer/inner": 1, "inner": 8}
    assert timers["never"] == 0


def test_functions_are_timed_for_a_while_and_must_exist():
    before = negative_binomial_nll
    with timed({"scproto.losses:negative_binomial_nll": "likelihood"}) as timers:
        from scproto.losses import negative_binomial_nll as within

        within(torch.zeros(1, 1), torch.zeros(1), *torch.zeros(2, 1, dtype=torch.long), torch.ones(1))
    assert timers["likelihood"] > 0
    from scproto.losses import negative_binomial_nll as after

    assert after is before
    with pytest.raises(AttributeError), timed({"scproto.losses:no_such_function": "x"}):
        pass


def test_the_clock_of_an_epoch_leaves_its_first_step_out():
    clock = loop.Clock(ticking())
    for n_steps in (3, 1, 5):
        for index in range(n_steps):
            clock.tick(index, n_steps)
    assert clock.seconds == [1 / 2, 1 / 4]


def test_pieces_of_a_step_sum_to_it():
    timers = Timers()
    inner = "all but gather/step/loss"
    timers.seconds = {
        "gather": 1.0,
        "all but gather": 50.0,
        "all but gather/step": 20.0,
        inner: 19.0,
        f"{inner}/encoder": 7.0,
        f"{inner}/encoder/first": 4.0,
        f"{inner}/reconstruction": 5.0,
        f"{inner}/reconstruction/decoder": 3.0,
        "all but gather/backward": 25.0,
    }
    found = step.pieces(timers)
    assert list(found.values()) == [1, 4, 3, 3, 2, 7, 1, 25, 5]
    assert tuple(found) == floor.PIECES


def test_every_second_round_goes_the_other_way():
    order = []
    work = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    assert throughput.alternate(work, 3) == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert "".join(order) == "abccbaabc"


NAMES = throughput.variants(Sizes(batch_sizes=(100,), scvi_batch_sizes=(10, 100)))
ROUNDS = {
    "scproto 100": [{"warm_up": [1.0, 1.0, 9.0], "joint": [3.0]}, {"warm_up": [2.0], "joint": [2.0]}],
    "plain 100": [{"warm_up": [1.0], "joint": [1.0]}, {"warm_up": [1.0], "joint": [1.0]}],
    "dense 100": [{"warm_up": [8.0], "joint": [8.0]}, {"warm_up": [4.0], "joint": [4.0]}],
    "scvi 10": [{"step": [0.1]}, {"step": [1.0]}],
    "scvi 100": [{"step": [10.0]}, {"step": [2.0]}],
}


def test_ratios_are_taken_within_the_rounds_and_the_better_scvi_counts():
    found = throughput.summarise(ROUNDS, NAMES)
    seconds = 0.5 * 1 + 0.5 * 3
    assert found["cells_per_second"]["scproto 100"] == pytest.approx([100 / seconds, 50])
    assert found["warm_up_ms"]["scproto 100"] == [1000, 2000]
    ratios = found["ratios"]["scproto 100"]
    assert ratios["scvi"] == pytest.approx([1 / seconds, 1])  # the smaller minibatch was better first, then the larger
    assert ratios["dense"] == pytest.approx([8 / seconds, 2])
    assert ratios["plain"] == pytest.approx([1 / seconds, 1 / 2])


RUN = dict.fromkeys(
    ["Reading", "Checking", "Loading libraries", "Preparing", "Training", "Metacells", "Check", "Writing"], 10.0
)


def test_stages_sum_to_the_whole():
    timers = Timers()
    timers.seconds = {"PCA": 2, "neighbours": 3, "epochs": 1, "epochs/look/k-means": 0.5, "epochs/embed": 0.2}
    timers.seconds |= {"finish": 0.5, "assignment": 4}
    timers.first = {"epochs": 100, "epochs/embed": 103, "finish": 108}
    found = fit.stages(RUN, timers, 90.0)
    assert sum(found.values()) == pytest.approx(90)
    assert (found["warm-up"], found["joint training"], found["set up the training"]) == (3, 4, 1.5)
    assert (found["checks and genes"], found["metacells"], found["rest"]) == (15, 6, 10)
    assert "UMAP" not in found
    assert "UMAP" in fit.stages(RUN | {"UMAP": 1.0, "Report": 1.0}, timers, 90.0)
    assert sum(fit.looks(timers).values()) == pytest.approx(1)


@pytest.fixture(scope="module")
def atlas_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "atlas.h5ad"
    simulate_atlas(150, 60, 2, 3, depth=200, seed=3).write_h5ad(path)
    return path


def test_a_fit_is_timed_in_all_stages(atlas_file, tmp_path):
    arguments = {"source": str(atlas_file), "batch_key": ["batch"], "folder": str(tmp_path), "max_steps": 12}
    found = fit.measure(arguments | {"n_prototypes": 7, "n_top_genes": 40, "report": False})
    assert sum(found["stages"].values()) == pytest.approx(found["total"])
    assert all(seconds > 0 for name, seconds in found["stages"].items() if name != "load libraries")
    assert all(seconds > 0 for seconds in found["looks"].values())
    assert found["peak_memory_mib"] > 0
    sizes = {name: value for name, value in found.items() if name.startswith("n_")}
    assert sizes.pop("n_model_genes") <= 40
    assert sizes == {"n_cells": 150, "n_genes": 60, "n_batches": 2, "n_prototypes": 7, "n_epochs": 12}
    assert not list(tmp_path.iterdir())
    assert stages.summarise([found, found])["total"] == dict.fromkeys(["median", "least", "most"], found["total"])


def quick(folder, *options: str) -> None:
    speed.main(["--out", str(folder), "--quick", "--repeats", "2", *options])


def test_the_step_is_measured_once(tmp_path, monkeypatch, capsys):
    quick(tmp_path, "--parts", "step")
    record = json.loads((tmp_path / "step.json").read_text())
    assert record["machine"]["threads"] == 1
    assert "torch" in record["machine"]["versions"]
    for found in record["result"]["batch_sizes"].values():
        pieces = found["pieces"]
        assert set(pieces) == {*floor.PIECES, "sum"}
        assert all(len(piece["measured_ms"]) == 2 and min(piece["measured_ms"]) > 0 for piece in pieces.values())
        assert all(min(piece["floor_ms"]) > 0 for name, piece in pieces.items() if name != floor.RECORD)
    printed = capsys.readouterr().out
    assert (tmp_path / "speed.md").read_text() in printed
    assert "| **sum** |" in printed
    monkeypatch.setattr(speed, "call", lambda *_: pytest.fail("measured again"))
    quick(tmp_path, "--parts", "step")
    assert capsys.readouterr().out == printed


def test_what_is_there_must_be_what_is_asked_for(tmp_path):
    def there(part: str, setup: Setup) -> None:
        (tmp_path / f"{part}.json").write_text(json.dumps({"arguments": setup.to_json()}))

    setup = Setup(str(tmp_path))
    assert not speed.is_done("step", setup)
    there("step", setup)
    there("growth", setup)
    assert speed.is_done("step", Setup(str(tmp_path), repeats=7))
    assert speed.is_done("growth", Setup(str(tmp_path), "a.h5ad"))
    assert not speed.is_done("growth", setup.with_cells_up_to(10**6))
    for other in (Setup(str(tmp_path), threads=2), Setup(str(tmp_path), "a.h5ad"), Setup(str(tmp_path), quick=True)):
        with pytest.raises(speed.MeasurementError, match=r"measured with other (threads|data|quick): use --again"):
            speed.is_done("step", other)


@pytest.mark.parametrize("message", ["step failed: no"])
def test_a_failure_ends_in_one_sentence(tmp_path, monkeypatch, message):
    def fail(*_):
        raise speed.MeasurementError(message)

    monkeypatch.setattr(speed, "call", fail)
    with pytest.raises(SystemExit, match=message):
        quick(tmp_path, "--parts", "step")
    assert (tmp_path / "speed.md").exists()


def test_trainings_are_compared_with_the_fit_of_their_round():
    found = whole.summarise({"scproto": [2.0, 4.0], "scvi": [20.0, 20.0], "published": [6.0, 8.0]})
    assert found["ratios"] == {"scvi": [10, 5], "published": [3, 2]}
    assert found["epochs"] == {"scvi": 200, "published": 40}


def test_an_epoch_of_scvi_is_timed():
    adata = simulate_atlas(150, 60, 2, 3, depth=200, seed=3)
    scproto.pp.prepare(adata, "batch")
    assert 0 < whole.scvi_epoch(for_scvi(adata)) < 60


SCRIPT = """
import argparse, json, anndata, numpy as np
parser = argparse.ArgumentParser()
for name in ("checkout", "input", "--n-prototypes", "--epochs", "--out"):
    parser.add_argument(name)
given = parser.parse_args()
cells = anndata.read_h5ad(given.input)
assert np.allclose(np.expm1(cells.X).sum(1), 1e4, rtol=1e-4) and set(cells.obs["batch"]) == {"batch_0", "batch_1"}
assert (given.checkout, given.n_prototypes, given.epochs) == ("code", "7", "2"), "other arguments"
json.dump({"seconds": [1.0, 3.0]}, open(given.out, "w"))
"""


def test_the_published_code_is_called_with_normalised_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "SCRIPT", tmp_path / "epochs.py")
    (tmp_path / "epochs.py").write_text(SCRIPT)
    (tmp_path / "fits").mkdir()
    adata = simulate_atlas(150, 60, 2, 3, depth=200, seed=3)
    scproto.pp.prepare(adata, "batch")
    setup = Setup(str(tmp_path), published=(sys.executable, "code"))
    assert whole.published_epoch(setup, for_scvi(adata), 7) == 2
    with pytest.raises(speed.MeasurementError, match="the published code failed: AssertionError: other arguments"):
        whole.published_epoch(setup, for_scvi(adata), 8)


@pytest.mark.slow
def test_everything_is_measured(tmp_path, capsys):
    quick(tmp_path)
    printed = capsys.readouterr().out
    assert re.findall(r"^## (\w+)", printed, re.M) == [part.capitalize() for part in tables.MAKERS]
    assert {path.suffix for path in (tmp_path / "inputs").iterdir()} == {".h5ad", ".json", ".log"}
    assert len(list((tmp_path / "inputs").glob("*.h5ad"))) == 1


def test_a_setup_survives_json():
    for setup in (
        Setup("out", quick=True, sizes=TINY, published=("python", "code")),
        Setup("out", "a.h5ad", ("a", "b"), 2).with_cells_up_to(10**6),
    ):
        assert Setup.from_json(json.loads(json.dumps(setup.to_json()))) == setup
    assert Setup("out").with_cells_up_to(40_000).sizes.growth["cells"] == CELLS[:4]


def record(result: dict[str, object], **arguments: object) -> dict[str, object]:
    machine = {"system": "Linux", "processor": "a chip", "cores": 2, "threads": 1, "load": 0.5}
    machine["versions"] = {"python": "3.11", "torch": "2.6"}
    return {"machine": machine, "arguments": {"data": None, "quick": False} | arguments, "result": result}


def made_up() -> dict[str, dict[str, object]]:
    """A result of each part."""
    spread = {"median": 2.0, "least": 1.0, "most": 4.0}
    fitted = {
        "stages": {"read": spread},
        "looks": {"embed": spread},
        "total": {"median": 8.0, "least": 7.0, "most": 9.0},
    }
    fitted |= {"peak_memory_mib": {"median": 1234.5}, "repeats": 3}
    fitted["sizes"] = dict.fromkeys(["n_cells", "n_genes", "n_model_genes", "n_batches", "n_prototypes", "n_epochs"], 7)
    timed = throughput.summarise(ROUNDS, NAMES) | {"skipped": {"scvi 1024": "too few cells"}}
    timed |= {"sizes": {"n_cells": 5000, "n_model_genes": 2000, "n_batches": 3}, "steps": 4}
    times = {"measured": dict.fromkeys(floor.PIECES, 0.002), "untimed": 0.017, "shapes": SHAPES}
    times["floor"] = dict.fromkeys(floor.PIECES, 0.001) | {floor.RECORD: 0.0}
    axis = {"sizes": [10, 100], "seconds": {"PCA": [1.0, 10.0], "UMAP": [3.0, None], "read": [0.001, 0.002]}}
    axis |= {"exponents": {"PCA": 1.0, "UMAP": None, "read": 0.3}, "last_exponents": {}, "peak_memory_mib": [1.0, 2.0]}
    grown = {"axes": {"cells": axis}, "base": {"cells": 1000}, "steps": 20, "repeats": 1}
    parts = {
        "stages": fitted,
        "throughput": timed,
        "step": {"batch_sizes": {"100": step.summarise([times])}, "steps": 4},
    }
    compared = whole.summarise({"scproto": [2.0, 4.0], "scvi": [20.0, 20.0]})
    parts["whole"] = compared | {"sizes": {"n_cells": 5000, "n_model_genes": 2000, "n_prototypes": 60}}
    return parts | {"growth": grown, "device": {"none": device.NONE}}


def test_the_tables_to_read(tmp_path):
    for part, result in made_up().items():
        (tmp_path / f"{part}.json").write_text(json.dumps(record(result, quick=part == "growth")))
    text = tables.render(tmp_path)
    for row in (
        "| read | 2.00 | 1.00 to 4.00 | 25.0 % |",
        "| whole `scproto fit`, from the file to the report | 3.00 |  |",
        "| training of scVI by default, 200 epochs | 20.0 | 7.50 (5.00 to 10.0) |",
        "| scproto, `model.train` | 100 | 50.0 | 1,500 | 2,500 |",
        "| 100 | 0.500 (0.500 to 0.500) | 3.00 (2.00 to 4.00) | 0.750 (0.500 to 1.00) |",
        "| scVI, layers of 256, else by default | 1024 | too few cells |  |  |",
        "| decoder | 2.00 | 1.00 | 2.00 (2.00 to 2.00) | 0.0001 | 0.0002 |",
        "| **sum** | 18.0 | 8.00 | 2.25 (2.25 to 2.25) | 0.0017 | 0.0051 |",
        "| PCA | 1.00 | 10.0 | 1.00 |  |",
        "| UMAP | 3.00 |  |  |  |",
        "| read | 0.0010 | 0.0020 |  |  |",
        "torch finds no CUDA device here: nothing was measured.",
    ):
        assert row in text.splitlines()
    assert "a chip, 2 cores, 1 thread(s), load 0.5 at the start; simulated cells; python 3.11, torch 2.6." in text
    assert text.count("the figures mean nothing") == 1
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_parts_that_are_not_there_have_no_table(tmp_path):
    assert tables.render(tmp_path) == "# Speed\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (1e-5, "0"), (0.00123, "0.0012"), (0.5, "0.500"), (12.34, "12.3"), (12345.6, "12,346")],
)
def test_numbers_have_three_digits(value, text):
    assert tables.number(value) == text


def test_without_a_gpu_a_line_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.measure({}) == {"none": device.NONE}
