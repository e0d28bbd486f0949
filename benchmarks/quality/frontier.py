"""What more or fewer rounds of alignment make of one training: mixing against purity.

    python benchmarks/quality/frontier.py data/*.h5ad --n-prototypes 60 pbmc=150 --seeds 0 1 2 --out frontier/

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Each data set is trained on once a
seed, by default; then its cells are aligned and gathered into metacells anew for each number of rounds, and once as by
default (row ``default``), where the alignment stops by itself. ``frontier.csv`` has a row for each; those that are
there already are not computed again. ``frontier.png`` draws the means over the seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from ablation import prepared, score
from changes import fixed_rounds
from comparison.inputs import find_files, numbers_of_metacells
from matplotlib.figure import Figure

import scproto
from scproto.inputs.files import read_obs

ROUNDS = (0, 1, 2, 3, 4, 6, 8, 12)
LEAST_HEIGHT = 0.05
"""Of an axis, so that what is hardly a difference looks like none."""

SHOWN = ["total", "purity", "balanced_purity", "mean_label_recall", "batch_entropy", "scgraph"]
HEADS = ["total", "purity", "balanced purity", "recall", "batch entropy", "scGraph"]


def rows(data: Path, seed: int, n_prototypes: int, max_steps: int | None) -> Iterator[dict[str, Any]]:
    """Train once; align, gather and score for each number of rounds."""
    adata = prepared(data, seed)
    model = scproto.SCPROTO(adata, n_prototypes=n_prototypes, seed=seed)
    finish = scproto.SCPROTO._finish
    with patch.object(scproto.SCPROTO, "_finish", lambda *_: None):
        model.train(max_steps, enable_progress_bar=False)
    module, cells = model.module, model.cells()
    trained, most = module.unit_prototypes.detach().clone(), module.n_alignment
    for rounds in ("default", *ROUNDS):
        module.n_alignment = most if rounds == "default" else rounds
        module.set_prototypes(trained)
        with nullcontext() if rounds == "default" else fixed_rounds():
            finish(model, cells)
        scproto.tl.assign_metacells(adata, model)
        yield {"rounds": rounds, "taken": len(module.alignment_offsets)} | score(adata)


def table(found: pd.DataFrame) -> str:
    """Means over the seeds, one Markdown table for each data set."""
    lines = []
    for data, part in found.groupby("data", sort=False):
        lines += [f"**{data}**", "", f"| rounds | {' | '.join(HEADS)} |", "| --- " * (len(SHOWN) + 1) + "|"]
        for rounds, seeds in part.groupby("rounds", sort=False):
            taken = ", ".join(str(n) for n in sorted(seeds["taken"].unique()))
            name = f"default ({taken})" if rounds == "default" else rounds
            lines.append(f"| {name} | {' | '.join(f'{seeds[column].mean():.3f}' for column in SHOWN)} |")
        lines.append("")
    return "\n".join(lines)


def draw(found: pd.DataFrame, path: Path) -> None:
    """Purity and total score against the batch entropy, a point for each number of rounds."""
    names = list(found["data"].unique())
    figure = Figure(figsize=(4 * len(names), 5.5), layout="constrained")
    for i, name in enumerate(names):
        part = found[found["data"] == name]
        means = part.groupby("rounds", sort=False)[["batch_entropy", "purity", "total"]].mean()
        for row, column in enumerate(("purity", "total")):
            ax = figure.add_subplot(2, len(names), 1 + i + row * len(names))
            fixed, default = means.drop(index="default"), means.loc["default"]
            ax.plot(fixed["batch_entropy"], fixed[column], "o-", color="#0072B2", label="fixed number of rounds")
            ax.plot(default["batch_entropy"], default[column], "*", color="#D55E00", markersize=13, label="default")
            for rounds, point in fixed.iterrows():
                ax.annotate(str(rounds), (point["batch_entropy"], point[column]), (3, 4), textcoords="offset points")
            ax.set(xlabel="batch entropy", ylabel=column, title=name if row == 0 else None)
            middle, width = means[column].agg(["min", "max"]).mean(), np.ptp(means[column])
            ax.set_ylim(middle + max(0.6 * width, LEAST_HEIGHT / 2) * np.array([-1, 1]))
    figure.axes[0].legend(loc="lower left")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Compute what is missing, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--n-prototypes", nargs="+", default=[], metavar="K|NAME=K")
    parser.add_argument("--max-steps", type=int)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("frontier"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    out = arguments.out / "frontier.csv"
    files = find_files(arguments.data)
    sizes = [SimpleNamespace(name=file.stem, n_cells=len(read_obs(file))) for file in files]
    numbers = numbers_of_metacells(arguments.n_prototypes, sizes)
    for file in files:
        for seed in arguments.seeds:
            done = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=["data", "seed"])
            if ((done["data"] == file.stem) & (done["seed"] == seed)).any():
                continue
            made = pd.DataFrame(rows(file, seed, numbers[file.stem], arguments.max_steps))
            made.insert(0, "data", file.stem)
            made.insert(1, "seed", seed)
            made.to_csv(out, mode="a", header=not out.exists(), index=False)
            print(f"{file.stem}, seed {seed}", file=sys.stderr, flush=True)
    found = pd.read_csv(out, dtype={"rounds": str})
    print(table(found))
    draw(found, arguments.out / "frontier.png")


if __name__ == "__main__":
    main()
