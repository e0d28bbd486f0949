"""Part ``step``: one joint training step taken apart, beside the least time that it could take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean
from typing import Any

import torch

from scproto._compat import multiplies_bfloat16
from scproto.data.minibatch import Minibatch
from scproto.model import SCPROTO
from scproto.model.module import PrototypeModule

from . import floor as f
from .loop import EPOCHS, PlainRunner, read, short_training
from .setup import Setup
from .timers import Timers, timed

SITES = {
    "scproto.data.module:CellViews.__getitem__": "gather",
    "scproto.train.plan:PrototypePlan.objective": "step",
    "scproto.model.module:PrototypeModule.loss": "loss",
    "scproto.nn.encoder:Encoder.forward": "encoder",
    "scproto.nn.sparse:SparseLinear.forward": "first",
    "scproto.model.module:PrototypeModule._reconstruction": "reconstruction",
    "scproto.nn.decoder:Decoder.forward": "decoder",
    "torch:Tensor.backward": "backward",
}
"""Functions with a timer: those of the package, in the package's own step."""

STEPS = 5
"""Steps of a round, for each step of an epoch of part ``throughput``."""

KEPT = 20
"""Minibatches of a round whose sizes are taken."""


def measure(arguments: dict[str, Any]) -> dict[str, Any]:
    """Train for a moment without the framework and time the pieces of the joint steps.

    Returns
    -------
    ``batch_sizes``: for each number of cells a minibatch ``pieces`` (``measured_ms``, ``floor_ms`` and ``ratio``, one
    value a round, ``flops`` and ``bytes``, for each piece and their ``sum``), ``untimed_ms`` (of a step in which
    nothing but the whole is timed, one value a round) and ``shapes``.
    """
    setup = Setup.from_json(arguments)
    torch.set_num_threads(setup.threads)
    adata = read(str(setup.source), list(setup.batch_key))
    found = {}
    for batch_size in setup.sizes.batch_sizes:
        if batch_size > adata.n_obs:
            continue
        rounds: list[dict[str, Any]] = []

        def work(runner: PlainRunner, rounds: list[dict[str, Any]] = rounds) -> None:
            runner.start_joint()
            rounds.extend(_round(runner, setup) for _ in range(setup.repeats))

        model = SCPROTO(adata)
        steps = EPOCHS * (setup.sizes.steps + setup.repeats * (2 * STEPS * setup.sizes.steps + 1))
        with short_training(PlainRunner, work=work):
            model.train(steps, batch_size=batch_size, early_stopping=False)
        found[str(batch_size)] = summarise(rounds)
    return {"batch_sizes": found, "steps": STEPS * setup.sizes.steps}


def _round(runner: PlainRunner, setup: Setup) -> dict[str, Any]:
    """Some steps with timers around their pieces, as many without, and the rates of the machine at that moment."""
    n_steps = STEPS * setup.sizes.steps
    requests = _requests(runner, 2 * n_steps + 1)
    runner.step(runner.loader.dataset[requests[-1]])  # fills caches and allocates
    minibatches: list[Minibatch] = []
    with timed(SITES) as timers:
        for request in requests[:n_steps]:
            minibatch = runner.loader.dataset[request]
            with timers("all but gather"):
                runner.step(minibatch)
            if len(minibatches) < KEPT:
                minibatches.append(minibatch)
    whole = Timers()
    for request in requests[n_steps : 2 * n_steps]:
        with whole("whole"):
            runner.step(runner.loader.dataset[request])
    shapes = shapes_of(runner.plan.module, minibatches)
    rates = f.Rates(0.002 if setup.quick else 0.05)
    least = f.floor(f.products(shapes), f.moves(shapes), rates.product_seconds, rates.move_seconds)
    return {
        "shapes": shapes,
        "measured": {piece: seconds / n_steps for piece, seconds in pieces(timers).items()},
        "floor": least,
        "untimed": whole["whole"] / n_steps,
    }


def _requests(runner: PlainRunner, n: int) -> list[Any]:
    requests: list[Any] = []
    while len(requests) < n:
        requests.extend(runner.loader.sampler)
    return requests[:n]


def pieces(timers: Timers) -> dict[str, float]:
    """Seconds of each piece from the timers of `SITES`; they sum to the step."""
    step, loss = "all but gather/step", "all but gather/step/loss"
    encoder, reconstruction = f"{loss}/encoder", f"{loss}/reconstruction"
    backward = "all but gather/backward"
    return {
        f.GATHER: timers["gather"],
        f.FIRST: timers[f"{encoder}/first"],
        f.REST: timers[encoder] - timers[f"{encoder}/first"],
        f.DECODER: timers[f"{reconstruction}/decoder"],
        f.LIKELIHOOD: timers[reconstruction] - timers[f"{reconstruction}/decoder"],
        f.PROTOTYPES: timers[loss] - timers[encoder] - timers[reconstruction],
        f.RECORD: timers[step] - timers[loss],
        f.BACKWARD: timers[backward],
        f.OPTIMISER: timers["all but gather"] - timers[step] - timers[backward],
    }


def shapes_of(module: PrototypeModule, minibatches: Sequence[Minibatch]) -> f.Shapes:
    """Sizes of the steps on these minibatches."""
    first = minibatches[0]
    genes, hidden = module.encoder.first.weight.shape
    return f.Shapes(
        rows=first.batch.numel(),
        anchors=len(first.library),
        genes=genes,
        decoded=_mean(len(minibatch.genes) for minibatch in minibatches),
        hidden=hidden,
        latent=module.prototypes.shape[1],
        batch_latent=module.decoder.batch_embedding.embedding_dim,
        prototypes=len(module.prototypes),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        stored=_mean(_stored(minibatch) for minibatch in minibatches),
        counts=_mean(len(minibatch.counts) for minibatch in minibatches),
        dense=first.x_transposed is None,
        fast="bfloat16" if multiplies_bfloat16(module.device) else "float32",
    )


def _stored(minibatch: Minibatch) -> int:
    return int(minibatch.x.count_nonzero()) if minibatch.x_transposed is None else minibatch.x.values().numel()


def _mean(values: Iterable[int]) -> int:
    return round(mean(values))


def summarise(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Milliseconds by piece and round; FLOPs and bytes of the first round's shapes."""
    shapes = rounds[0]["shapes"]
    table = {}
    for piece in (*f.PIECES, "sum"):
        measured = [_of(one["measured"], piece) for one in rounds]
        least = [_of(one["floor"], piece) for one in rounds]
        table[piece] = {
            "measured_ms": [1e3 * seconds for seconds in measured],
            "floor_ms": [1e3 * seconds for seconds in least],
            "ratio": [a / b if b else None for a, b in zip(measured, least, strict=True)],
            "flops": sum(product.flops for product in f.products(shapes) if piece in (product.piece, "sum")),
            "bytes": sum(move.n_bytes for move in f.moves(shapes) if piece in (move.piece, "sum")),
        }
    untimed = [1e3 * one["untimed"] for one in rounds]
    return {"pieces": table, "untimed_ms": untimed, "shapes": vars(shapes)}


def _of(pieces: dict[str, float], piece: str) -> float:
    return sum(pieces.values()) if piece == "sum" else pieces[piece]
