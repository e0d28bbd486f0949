"""Tables to read, made from the JSON of all parts that are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lab.tables import markdown

SHORT = 0.05
"""Seconds at the largest size below which an exponent tells of the clock only and is left out."""

METHODS = {  # those in the middle were measured by earlier commits
    "scproto": "scproto, `model.train`",
    "plain": "the same module in a plain torch loop",
    "dense": "the same model, dense input, textbook likelihood of all genes, float32",
    "scvi": "scVI, layers of 256, else by default",
}


WHOLE = {
    "scproto": "whole `scproto fit`, from the file to the report",
    "scvi": "training of scVI by default",
    "scvi wide": "training of scVI, layers of 256",
    "published": "training of the code published with the paper",
}


def render(out: Path) -> str:
    """Return Markdown of all parts in the folder of the results."""
    blocks = ["# Speed"]
    for part, make in MAKERS.items():
        path = out / f"{part}.json"
        if path.exists():
            record = json.loads(path.read_text())
            blocks += [f"## {part.capitalize()}", described(record), make(record["result"])]
    return "\n\n".join(blocks) + "\n"


def described(record: dict[str, Any]) -> str:
    """Return where and on what a part was measured."""
    machine, arguments = record["machine"], record["arguments"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    data = Path(arguments["data"]).name if arguments["data"] else "simulated cells"
    made_by = f"; commit {record['commit']}" if record.get("commit") else ""
    quick = " A smoke test with tiny sizes: the figures mean nothing." if arguments["quick"] else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} thread(s), load {machine['load']} "
        f"at the start; {data}; {versions}{made_by}.{quick}"
    )


def stages(result: dict[str, Any]) -> str:
    """Return seconds of each stage and share of the whole, and of the pieces of the looks."""
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
        f"{sizes['n_cells']:,} cells, {sizes['n_genes']:,} genes of which {sizes['n_model_genes']:,} in the model, "
        f"{sizes['n_batches']} batches, {sizes['n_prototypes']:,} prototypes, {sizes['n_epochs']} epochs. Peak memory "
        f"{memory['median']:,.0f} MiB. Medians of {result['repeats']} fit(s), each in a process of its own."
    )
    heads = ["seconds", "least to most", "of the whole"]
    return "\n\n".join([head, markdown(["stage", *heads], stages), markdown(["of the looks", *heads], looks)])


def throughput(result: dict[str, Any]) -> str:
    """Return cells per second of each variant, and how many times as fast scproto is."""
    sizes, rows = result["sizes"], []
    for name, speeds in result["cells_per_second"].items():
        method, size = name.rsplit(" ", 1)
        steps = [result[phase].get(name) for phase in ("warm_up_ms", "joint_ms")]
        rows.append([METHODS[method], size, number(median(speeds)), *(number(median(s)) if s else "" for s in steps)])
    rows += [[METHODS[name.rsplit(" ", 1)[0]], name.rsplit(" ", 1)[1], why] for name, why in result["skipped"].items()]
    others = [name for name in METHODS if any(name in beside for beside in result["ratios"].values())]
    beside = [
        [name.rsplit(" ", 1)[1], *(_with_range(ratios[other]) if other in ratios else "" for other in others)]
        for name, ratios in result["ratios"].items()
    ]
    rounds = max((len(speeds) for speeds in result["cells_per_second"].values()), default=0)
    head = (
        f"{sizes['n_cells']:,} cells, {sizes['n_model_genes']:,} genes, {sizes['n_batches']} batches; anchor cells per "
        f"second in the steps of the training, medians of {rounds} rounds in one process."
    )
    heads = ["variant", "cells per minibatch", "cells per second", "warm-up step, ms", "joint step, ms"]
    ratio_heads = ["cells per minibatch", *(f"over {METHODS[other].split(',')[0]}" for other in others)]
    ratio_head = "Times as fast as the others: median of the ratios within the rounds (least to most)."
    return "\n\n".join([head, markdown(heads, rows), ratio_head, markdown(ratio_heads, beside)])


def growth(result: dict[str, Any]) -> str:
    """Return seconds by size and exponents, for each axis."""
    base = ", ".join(f"{size:,} {name}" for name, size in result["base"].items())
    blocks = [
        f"One number changes and the others stay at {base}; half of the genes are in the model; "
        f"{result['steps']} steps. Exponents: over all sizes, and over the last two. Medians of {result['repeats']} "
        "fit(s)."
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
        heads = [axis, *(f"{size:,}" for size in found["sizes"]), "exponent", "of the last two"]
        blocks.append(markdown(heads, rows))
    return "\n\n".join(blocks)


def whole(result: dict[str, Any]) -> str:
    """Return seconds of a whole fit and of the trainings beside it, and how many times as long they take."""
    sizes, seconds, rows = result["sizes"], result["seconds"], []
    for name, each in seconds.items():
        epochs = f", {result['epochs'][name]} epochs" if name in result["epochs"] else ""
        ratio = _with_range(result["ratios"][name]) if name in result["ratios"] else ""
        rows.append([WHOLE[name] + epochs, number(median(each)), ratio])
    head = (
        f"{sizes['n_cells']:,} cells, {sizes['n_model_genes']:,} genes, {sizes['n_prototypes']:,} prototypes; medians "
        f"of {len(seconds['scproto'])} rounds."
    )
    return "\n\n".join([head, markdown(["what", "seconds", "times as long as the fit (least to most)"], rows)])


def device(result: dict[str, Any]) -> str:
    """Return the throughput on a GPU, or a line that there is none."""
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
"""Of each part of ``speed.py`` its tables, in their order."""


def number(value: float | None) -> str:
    """Return three significant digits, at most four decimals; nothing for None."""
    if value is None:
        return ""
    if abs(value) < 0.00005:
        return "0"
    decimals = max(0, 2 - int(f"{value:.2e}".split("e")[1]))
    return f"{value:,.{min(decimals, 4)}f}"


def _exponent(value: float | None, seconds: Sequence[float | None]) -> str:
    known = [s for s in seconds if s is not None]
    return "" if value is None or not known or known[-1] < SHORT else f"{value:.2f}"


def _range(spread: dict[str, float]) -> str:
    return f"{number(spread['least'])} to {number(spread['most'])}"


def _with_range(values: Sequence[float]) -> str:
    return f"{number(median(values))} ({number(min(values))} to {number(max(values))})"
