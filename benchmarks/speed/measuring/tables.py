"""Markdown tables of all parts that have results."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lab.tables import markdown

SHORT = 0.05
"""Seconds at the largest size. A stage that takes less has no exponent, since it would only reflect timer noise."""

METHODS = {  # earlier commits measured "plain" and "dense"
    "scproto": "scproto, `model.train`",
    "plain": "the same module in a plain torch loop",
    "dense": "the dense textbook version of the model, likelihood of all genes, float32",
    "scvi": "scVI, layers of 256, defaults otherwise",
}

WHOLE = {
    "scproto": "whole `scproto fit`, from the file to the report",
    "scvi": "training of scVI with its defaults",
    "scvi wide": "training of scVI, layers of 256",
    "published": "training of the code published with the paper",
}


def render(out: Path) -> str:
    """Return Markdown of all parts in the results folder."""
    blocks = ["# Speed"]
    for part, make in MAKERS.items():
        path = out / f"{part}.json"
        if path.exists():
            record = json.loads(path.read_text())
            blocks += [f"## {part.capitalize()}", described(record), make(record["result"])]
    return "\n\n".join(blocks) + "\n"


def described(record: dict[str, Any]) -> str:
    """Return the machine, data, library versions and commit that a part was measured with."""
    machine, arguments = record["machine"], record["arguments"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    data = Path(arguments["data"]).name if arguments["data"] else "simulated cells"
    made_by = f"; commit {record['commit']}" if record.get("commit") else ""
    quick = " A smoke test with tiny sizes: the figures mean nothing." if arguments["quick"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {_count(machine['threads'], 'thread')}, load "
        f"{machine['load']} at the start; {data}; {versions}{made_by}.{quick}"
    )


def stages(result: dict[str, Any]) -> str:
    """Return the seconds of each stage and its share of the fit, and the same for the parts of the looks."""
    total, memory, sizes = result["total"]["median"], result["peak_memory_mib"], result["sizes"]
    stages, looks = (
        [
            [name, number(spread["median"]), _range(spread), f"{100 * spread['median'] / total:.1f} %"]
            for name, spread in result[part].items()
        ]
        for part in ("stages", "looks")
    )
    stages.append(["**whole fit**", number(total), _range(result["total"]), ""])
    head = (
        f"{sizes['n_cells']:,} cells, {sizes['n_genes']:,} genes ({sizes['n_model_genes']:,} of them in the model), "
        f"{sizes['n_batches']} batches, {sizes['n_prototypes']:,} prototypes, {sizes['n_epochs']} epochs. Peak memory "
        f"{memory['median']:,.0f} MiB. Median over {_count(result['repeats'], 'fit')}, each in its own process."
    )
    heads = ["seconds", "minimum to maximum", "share of the fit"]
    return "\n\n".join([head, markdown(["stage", *heads], stages), markdown(["part of the looks", *heads], looks)])


def throughput(result: dict[str, Any]) -> str:
    """Return the cells per second of each variant, and how many times as fast scproto is."""
    sizes, rows = result["sizes"], []
    for name, speeds in result["cells_per_second"].items():
        method, size = name.rsplit(" ", 1)
        steps = [result[phase].get(name) for phase in ("warm_up_ms", "joint_ms")]
        rows.append([METHODS[method], size, number(median(speeds)), *(number(median(s)) if s else "" for s in steps)])
    rows += [[METHODS[name.rsplit(" ", 1)[0]], name.rsplit(" ", 1)[1], why] for name, why in result["skipped"].items()]
    others = [name for name in METHODS if any(name in ratios for ratios in result["ratios"].values())]
    compared = [
        [name.rsplit(" ", 1)[1], *(_with_range(ratios[other]) if other in ratios else "" for other in others)]
        for name, ratios in result["ratios"].items()
    ]
    rounds = max((len(speeds) for speeds in result["cells_per_second"].values()), default=0)
    head = (
        f"{sizes['n_cells']:,} cells, {sizes['n_model_genes']:,} genes, {sizes['n_batches']} batches. Anchor cells per "
        f"second in the training steps; median over {_count(rounds, 'round')} in one process."
    )
    heads = ["variant", "cells per minibatch", "cells per second", "warm-up step, ms", "joint step, ms"]
    ratio_heads = ["cells per minibatch", *(f"relative to {METHODS[other].split(',')[0]}" for other in others)]
    ratio_head = "Speed of scproto relative to the others: median ratio within the rounds (minimum to maximum)."
    return "\n\n".join([head, markdown(heads, rows), ratio_head, markdown(ratio_heads, compared)])


def growth(result: dict[str, Any]) -> str:
    """Return the seconds by size and the exponents, one table per axis."""
    base = ", ".join(f"{size:,} {name}" for name, size in result["base"].items())
    blocks = [
        f"Each table varies one number and keeps the others at {base}. Half of the genes are in the model, and each "
        f"fit takes {result['steps']} steps. The exponents are those over all sizes and between the last two. "
        f"Seconds are the median over {_count(result['repeats'], 'fit')}."
    ]
    for axis, found in result["axes"].items():
        rows = [
            [
                name,
                *map(number, seconds),
                *(_exponent(found[which].get(name), seconds) for which in ("exponents", "last_exponents")),
            ]
            for name, seconds in found["seconds"].items()
        ]
        rows.append(["peak memory, MiB", *(f"{mib:,.0f}" for mib in found["peak_memory_mib"]), "", ""])
        heads = [axis, *(f"{size:,}" for size in found["sizes"]), "exponent", "last two sizes"]
        blocks.append(markdown(heads, rows))
    return "\n\n".join(blocks)


def whole(result: dict[str, Any]) -> str:
    """Return the seconds of a whole fit and of the other trainings, and how many times as long these take."""
    sizes, seconds, rows = result["sizes"], result["seconds"], []
    for name, each in seconds.items():
        epochs = f", {result['epochs'][name]} epochs" if name in result["epochs"] else ""
        ratio = _with_range(result["ratios"][name]) if name in result["ratios"] else ""
        rows.append([WHOLE[name] + epochs, number(median(each)), ratio])
    head = (
        f"{sizes['n_cells']:,} cells, {sizes['n_model_genes']:,} genes, {sizes['n_prototypes']:,} prototypes. Median "
        f"over {_count(len(seconds['scproto']), 'round')}."
    )
    return "\n\n".join([head, markdown(["task", "seconds", "times as long as the fit (minimum to maximum)"], rows)])


def device(result: dict[str, Any]) -> str:
    """Return the throughput on a GPU, or a line that says that there is none."""
    if "none" in result:
        return f"{result['none']}."
    return f"On {result['device']}.\n\n{throughput(result)}"


MAKERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "stages": stages,
    "whole": whole,
    "throughput": throughput,
    "growth": growth,
    "device": device,
}
"""Functions that make the tables of each part of ``speed.py``, in their order."""


def number(value: float | None) -> str:
    """Return a number with three significant digits and at most four decimals, or nothing for None."""
    if value is None:
        return ""
    if abs(value) < 0.00005:
        return "0"
    decimals = max(0, 2 - int(f"{value:.2e}".split("e")[1]))
    return f"{value:,.{min(decimals, 4)}f}"


def _exponent(value: float | None, seconds: Sequence[float | None]) -> str:
    known = [s for s in seconds if s is not None]
    return "" if value is None or not known or known[-1] < SHORT else f"{value:.2f}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _range(spread: dict[str, float]) -> str:
    return f"{number(spread['least'])} to {number(spread['most'])}"


def _with_range(values: Sequence[float]) -> str:
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"
