"""Fit simulated atlases of many donors, and compare the metacells with the truth.

    python benchmarks/quality/atlas.py --n-prototypes 100 300 1000 3000 --passes 2 4 8 --out atlas.csv

The donors are batches and belong to studies. The cells of a type vary along continuous programmes (see
:func:`scproto.datasets.simulate_atlas`). Each seed sets both the atlas and the fit. Rows that the output already
contains are not computed again. The printed table gives mean and standard deviation over the seeds.

Columns in ``_random`` score random metacells: they have the sizes of the fitted ones, but the cells of each type have
changed places at random. They show the batch entropy to expect at best with this purity. ``explained`` is the share of
the variance of the activities within a type that lies between metacells; for random metacells, it is what chance gives.
``decoded_correlation`` compares, over the metacells of a type, the activity estimated from the decoded profile with the
mean activity of the cells. ``over_mixed`` and ``under_mixed`` are the verdict of :func:`scproto.tl.check`.
``peak_memory_mib`` covers training and assignment.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import fit

import scproto
from scproto.datasets import simulate_atlas
from scproto.metrics import batch_entropy, contingency, metacell_scores
from scproto.run.memory import give_back_holes, peak_memory

SIZE = {"n_cells": 20_000, "n_genes": 2000, "n_batches": 60, "n_studies": 6, "n_types": 24, "n_programmes": 2}
"""Options that set the size of the atlas, and their defaults."""

SETTINGS: dict[str, Any] = {"composition": "unequal", "trajectory": False}
SETTINGS |= {"depth": 1500.0, "donor_strength": 0.15, "rare_fraction": 0.005}

KEYS = [*SIZE, "n_prototypes", "passes"]
"""Columns that identify a row, together with the seed."""

BATCH_SIZE = 256
"""Cells per minibatch of :meth:`scproto.SCPROTO.train`."""

MIN_METACELLS = 5
"""Number of metacells that a type needs for a correlation."""


def mixing(adata: AnnData, rng: np.random.Generator) -> dict[str, float]:
    """Score the metacells by type, donor and study, and against random metacells."""
    metacell, types = (adata.obs[key].astype(str).to_numpy() for key in ("metacell", "cell_type"))
    random = metacell.copy()
    for cells in pd.Series(types).groupby(types).indices.values():
        random[cells] = rng.permutation(metacell[cells])
    activity, scores = adata.obsm["programme"], metacell_scores(metacell, types, adata.obs["batch"])
    found = {name: scores[name] for name in ("n_metacells", "purity", "balanced_purity")}
    for end, one in (("", metacell), ("_random", random)):
        found[f"donor_entropy{end}"] = batch_entropy(contingency(one, adata.obs["batch"]))
        found[f"study_entropy{end}"] = batch_entropy(contingency(one, adata.obs["study"]))
        found[f"explained{end}"] = explained(activity, types, one)
    return found


def explained(activity: np.ndarray, types: np.ndarray, metacell: np.ndarray) -> float:
    """Return the share of the variance within types that lies between the metacells."""
    table = pd.DataFrame(activity)
    within_type = table - table.groupby(types).transform("mean")
    within_metacell = table - table.groupby([types, metacell]).transform("mean")
    return float((1 - (within_metacell**2).sum() / (within_type**2).sum()).mean())


def decoded(adata: AnnData, metacells: AnnData) -> float:
    """Return the mean correlation of estimated and true activities over the metacells of each type."""
    truth = pd.DataFrame(adata.obsm["programme"], adata.obs_names)
    loadings = adata[:, metacells.var_names].varm["programme_loading"]
    profiles = np.log(metacells.layers["decoded"] + 1e-6)
    found = []
    for i, name in enumerate(adata.varm["type_profile"].columns):
        rows = np.flatnonzero(metacells.obs["cell_type"] == name)
        if len(rows) < MIN_METACELLS:
            continue
        design = np.column_stack([loadings[:, i], np.ones(len(loadings))])
        estimate = np.linalg.lstsq(design, (profiles[rows] - profiles[rows].mean(axis=0)).T, rcond=None)[0][:-1]
        mine = adata.obs["cell_type"] == name
        means = truth[mine].groupby(adata.obs["metacell"][mine].astype(str)).mean().loc[metacells.obs_names[rows]]
        found += [np.corrcoef(one, means[j])[0, 1] for j, one in enumerate(estimate)]
    return float(np.mean(found)) if found else float("nan")


def measure(adata: AnnData, n_prototypes: int, max_steps: int | None, seed: int) -> dict[str, float]:
    """Fit prepared cells and return scores, signs and costs."""
    give_back_holes()
    with suppress(OSError):  # on Linux, the peak starts again here; elsewhere, it covers earlier fits
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    model = fit(adata, max_steps, n_prototypes=n_prototypes, seed=seed)
    costs = {"training_seconds": time.perf_counter() - start}
    scproto.tl.assign_metacells(adata, model)
    costs["peak_memory_mib"] = peak_memory()
    history = {name: model.history[name] for name in ("prototypes_used", "perplexity", "nearest_cosine")}
    signs = scproto.tl.check(adata, seed=seed)
    return (
        {name: float(values.iloc[-1, 0]) for name, values in history.items()}
        | {"epochs": len(model.history["loss"])}
        | mixing(adata, np.random.default_rng(seed))
        | {"decoded_correlation": decoded(adata, model.get_metacells(label_keys=["cell_type"]))}
        | {"over_mixed": int(signs.over_mixed), "under_mixed": int(signs.under_mixed)}
        | costs
    )


def rows_of(given: Namespace) -> pd.DataFrame:
    """Fit and score what is missing, and return all rows."""
    rows = pd.read_csv(given.out, dtype={"passes": str}).to_dict("records") if given.out.exists() else []
    done = {tuple(row[key] for key in (*KEYS, "seed")) for row in rows}
    size = {name: getattr(given, name) for name in SIZE}
    passes = {f"{n:g}": round(n * given.n_cells / BATCH_SIZE) for n in given.passes} or {"default": None}
    for seed in given.seeds:
        wanted = [(*size.values(), k, name, seed) for name, k in product(passes, given.n_prototypes)]
        missing = [row for row in wanted if row not in done]
        if not missing:
            continue
        adata = simulate_atlas(**size, **SETTINGS, seed=seed)
        start = time.perf_counter()
        scproto.pp.prepare(adata, batch_key="batch", seed=seed)
        seconds = {"preparing_seconds": time.perf_counter() - start}
        for row in missing:
            k, name = row[-3:-1]
            found = measure(adata, k, passes[name], seed)
            rows.append(dict(zip((*KEYS, "seed"), row, strict=True)) | found | seconds)
            tables.write_csv(given.out, pd.DataFrame(rows))
            cli.say(f"{k} prototypes, {name} passes, seed {seed}")
    return pd.DataFrame(rows)


def main() -> None:
    """Fit all numbers of prototypes and of passes on every seed."""
    parser = cli.parser(__doc__, "--seeds", "--out", out=Path("atlas.csv"))
    for name, default in SIZE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    parser.add_argument("--n-prototypes", nargs="+", type=int, default=[100, 300, 1000, 3000])
    parser.add_argument("--passes", nargs="+", type=float, default=[], help="(default: the steps of the package)")
    with cli.one_sentence():
        rows = rows_of(parser.parse_args())
    scores = [name for name in rows if name not in (*KEYS, "seed")]
    for size, part in tables.summarise(rows, KEYS, scores).groupby(list(SIZE), sort=False):
        print(f"**{', '.join(f'{n:,} {name[2:]}' for name, n in zip(SIZE, size, strict=True))}**\n")
        heads = [f"{k} prototypes, {n} passes" for k, n in zip(part["n_prototypes"], part["passes"], strict=True)]
        several = [row for _, row in part.iterrows()]
        lines = [
            [name, *(tables.spread(one, name, 3 if one[f"{name}_mean"] < 5 else 0) for one in several)]
            for name in scores
        ]
        print(f"{tables.markdown(['score', *heads], lines)}\n")


if __name__ == "__main__":
    main()
