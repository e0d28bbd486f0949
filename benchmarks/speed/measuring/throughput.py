"""Part ``throughput``: cells a second in the steps of the training, beside scVI and the same model in other ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from scproto.train.schedule import WARM_UP

from .setup import Setup, Sizes

NAME = "{} {}"
"""Of a variant: method and cells a minibatch."""


def measure(arguments: dict[str, Any], accelerator: str = "cpu") -> dict[str, Any]:
    """Time all variants in this process, in turn, as often as asked for, every second time the other way round.

    Returns
    -------
    ``cells_per_second``, ``warm_up_ms``, ``joint_ms`` (of a step) by variant and ``ratios``, each with one value a
    round; ``skipped``: variants for which there are too few cells; ``sizes``.
    """
    import torch

    from .loop import read
    from .variants import METHODS, Bench, full_minibatches

    setup = Setup.from_json(arguments)
    torch.set_num_threads(setup.threads)
    adata = read(str(setup.source), list(setup.batch_key))
    bench = Bench(adata, setup.sizes.steps, accelerator)
    names = variants(setup.sizes)
    skipped = {
        name: "too few cells"
        for name, (method, size) in names.items()
        if size > adata.n_obs or (method == "scvi" and full_minibatches(adata.n_obs, size) < 2)
    }

    def work(method: str, size: int) -> Callable[[], dict[str, list[float]]]:
        return lambda: METHODS[method](bench, size)

    rounds = alternate({name: work(*names[name]) for name in names if name not in skipped}, setup.repeats)
    sizes = {"n_cells": adata.n_obs, "n_model_genes": int(adata.var["scproto_gene"].sum())}
    sizes["n_batches"] = adata.obs["scproto_batch"].nunique()
    return summarise(rounds, names) | {"skipped": skipped, "sizes": sizes, "steps": setup.sizes.steps}


def variants(sizes: Sizes) -> dict[str, tuple[str, int]]:
    """Method and cells a minibatch of each variant, by name."""
    ours = [(method, size) for size in sizes.batch_sizes for method in ("scproto", "plain", "dense")]
    return {NAME.format(*pair): pair for pair in ours + [("scvi", size) for size in sizes.scvi_batch_sizes]}


def alternate(work: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Results of each function by round; each second round goes the other way, so that none always comes first."""
    results: dict[str, list[Any]] = {name: [] for name in work}
    for i in range(repeats):
        for name in list(work)[:: 1 if i % 2 == 0 else -1]:
            results[name].append(work[name]())
    return results


def summarise(
    rounds: Mapping[str, Sequence[Mapping[str, list[float]]]], names: Mapping[str, tuple[str, int]]
) -> dict[str, Any]:
    """Cells a second, and ratios within each round."""
    per_second = {
        name: [names[name][1] / seconds_of_step(seconds) for seconds in each] for name, each in rounds.items()
    }
    found: dict[str, Any] = {"cells_per_second": per_second, "ratios": ratios(per_second, names)}
    for phase in ("warm_up", "joint"):
        found[f"{phase}_ms"] = {
            name: [1e3 * median(seconds[phase]) for seconds in each]
            for name, each in rounds.items()
            if phase in each[0]
        }
    return found


def seconds_of_step(phases: Mapping[str, list[float]]) -> float:
    """Mean over a whole training: of warm-up and joint steps by their share, or of the one kind that there is."""
    if "step" in phases:
        return median(phases["step"])
    return WARM_UP * median(phases["warm_up"]) + (1 - WARM_UP) * median(phases["joint"])


def ratios(
    per_second: Mapping[str, list[float]], names: Mapping[str, tuple[str, int]]
) -> dict[str, dict[str, list[float]]]:
    """How many times as fast scproto is as each other way, in each round.

    scVI takes part with the number of cells a minibatch that is best for it in that round; the others with scproto's.
    """
    found: dict[str, dict[str, list[float]]] = {}
    others = [per_second[name] for name in per_second if names[name][0] == "scvi"]
    best = [max(each) for each in zip(*others, strict=True)]
    for name, speed in per_second.items():
        method, size = names[name]
        if method != "scproto":
            continue
        beside = {other: per_second[NAME.format(other, size)] for other in ("plain", "dense")}
        if best:
            beside["scvi"] = best
        found[name] = {other: [a / b for a, b in zip(speed, each, strict=True)] for other, each in beside.items()}
    return found
