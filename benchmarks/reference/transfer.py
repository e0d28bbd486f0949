"""Compare scproto with other methods in mapping a batch onto a reference of other batches and transferring its labels.

    python benchmarks/reference/transfer.py DATA_FOLDER --out results/ --seeds 0 1 2

DATA_FOLDER holds .h5ad files with raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. Each batch is
the query once. The command computes only what the results folder does not yet contain: repeat it after an interruption,
or add seeds, methods, scenarios or data. README.md describes the scenarios, the scores and the methods.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "quality")]

from cases import SCENARIOS, Case, find_cases
from lab import cli, tables
from lab.data import find_files
from lab.records import commit
from lab.runs import Method, Run, complete, failures, records, write_tables
from labelling import score, top
from reliability import draw
from scoring import integration

from scproto.inputs import read_cells, read_counts

PEERS = Path(__file__).with_name("peers")

METHODS = {
    "scproto": Method("scproto", PEERS / "scproto_map.py", "scproto"),
    "joint": Method("scproto, joint", PEERS / "scproto_joint.py", "scproto"),
    "pca": Method("PCA, kNN", PEERS / "pca_knn.py", "scikit-learn"),
    "harmony": Method("Harmony, kNN", PEERS / "harmony_knn.py", "harmonypy", pins="symphony"),
    "symphony": Method("Symphony", PEERS / "symphony.py", "symphonypy"),
    "celltypist": Method("CellTypist", PEERS / "celltypist_train.py", "celltypist"),
    "scvi": Method("scVI, kNN", PEERS / "scvi_surgery.py", "scvi-tools", pins="scanvi_surgery"),
    "scanvi": Method("scANVI", PEERS / "scanvi_surgery.py", "scvi-tools"),
    "scpoli": Method("scPoli", PEERS / "scpoli_surgery.py", "scarches"),
}
"""Methods by the name that ``--methods`` takes."""

SHOWN = {
    "macro_f1": ("macro F1", 3),
    "accuracy": ("accuracy", 3),
    "ece": ("ECE", 3),
    "brier": ("Brier", 3),
    "auroc_unknown": ("unknown", 3),
    "auroc_distance": ("distance", 3),
    "coverage": ("coverage", 3),
    "set_size": ("set size", 2),
    "total": ("total", 3),
    "corr_weighted": ("scGraph", 2),
    "seconds_fit": ("fit, s", 0),
    "seconds_map": ("map, s", 0),
}
"""Scores in the printed table: heading and decimals."""

KEYS = ["data", "scenario", "missing", "left_out", "held_out", "method"]


def main() -> None:
    """Run and score the missing methods, and write the tables."""
    parser = cli.parser(__doc__, "files", *cli.OF_PEERS, out=Path("results"), seeds=[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS, metavar="METHOD")
    parser.add_argument("--scenarios", nargs="+", default=SCENARIOS, choices=SCENARIOS, help="(default: all)")
    parser.add_argument(
        "--missing", nargs="+", type=float, default=[0.1, 0.3, 0.5], help="shares of the genes that the query lacks"
    )
    parser.add_argument(
        "--integration", action="store_true", help="score the embeddings of scproto and joint in scenario whole (slow)"
    )
    parser.add_argument("--rescore", action="store_true", help="also score existing results again")
    given = parser.parse_args()
    if not all(0 < share < 1 for share in given.missing):
        parser.error("--missing must be between 0 and 1.")
    with cli.one_sentence():
        cases = [case for file in find_files(given.files) for case in find_cases(file, given.scenarios, given.missing)]
    runs = (run_of(given, case, method, seed) for seed, case, method in product(given.seeds, cases, given.methods))
    complete(runs, given, write, rescore=given.rescore)
    means = over_batches(write(given.out))
    tables.write_csv(given.out / "means.csv", means.assign(commit=commit()))
    for (data, scenario), part in means.groupby(["data", "scenario"], sort=False):
        print(f"**{data}**, {scenario}\n\n{markdown(part)}\n")
    for data in {case.data for case in cases if case.scenario == "whole"}:
        whole = [case for case in cases if case.scenario == "whole" and case.data == data]
        draw(confidences(given, whole), given.out / f"reliability_{data}.png")
    print(failures(given.out))


def run_of(given: Any, case: Case, name: str, seed: int) -> Run:
    """Return the run of a method."""
    about = {"data": case.data, "digest": case.digest, "scenario": case.scenario, "held_out": case.held_out}
    about |= {"missing": case.missing, "left_out": case.left_out, "method": name, "seed": seed}
    embedded = given.integration and case.scenario == "whole" and name in ("scproto", "joint")
    return Run(
        given.out / "runs" / case.data / f"{case.name}_{name}_seed{seed}",
        METHODS[name],
        [*case.write(given.out / "inputs", seed), "--seed", seed],
        about,
        lambda found: scores_of(found, case, embedded=embedded),
    )


def scores_of(found: dict[str, np.ndarray], case: Case, *, embedded: bool = False) -> dict[str, Any]:
    """Score the labels and, if asked for, the embedding of query and reference as the integration of all batches."""
    truth, in_reference = case.truth()
    scores = score(found, truth, in_reference)
    if embedded:
        cells = read_cells(case.original)
        labels, batches = cells.obs["cell_type"].astype(object), cells.obs["batch"].astype(str)
        of_query = (batches == case.held_out).to_numpy()
        embedding = np.empty((cells.n_obs, found["embedding"].shape[1]), dtype=np.float32)
        known = labels.notna().to_numpy()
        embedding[of_query], embedding[~of_query & known] = found["embedding"], found["reference_embedding"]
        scores |= integration(embedding[known], read_counts(cells).matrix[known], labels[known], batches[known])
    return scores


def confidences(given: Any, cases: Iterable[Case]) -> dict[str, pd.DataFrame]:
    """Return for each method the confidence in each cell of the cases, and whether its label is right."""
    found = defaultdict(list)
    for case, name, seed in product(cases, given.methods, given.seeds):
        if (path := run_of(given, case, name, seed).folder / "result.npz").exists():
            with np.load(path) as arrays:
                found[METHODS[name].title].append(top(dict(arrays), *case.truth()))
    return {
        title: pd.DataFrame(
            dict(zip(("confidence", "correct"), map(np.concatenate, zip(*parts, strict=True)), strict=True))
        )
        for title, parts in found.items()
    }


def write(out: Path) -> pd.DataFrame:
    """Write the tables with one row per run, whether it succeeded or not; return the means over the seeds."""
    rows = []
    for record in records(out):
        found, scores = record.pop("versions"), record.pop("scores")
        record["version"] = found.get(METHODS[record["method"]].package)
        del record["digest"]
        rows.append(record | scores)
    return write_tables(out, rows, KEYS, METHODS)


def over_batches(summary: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation of the scores over the held-out batches, or over the labels left out."""
    named = [name for name in summary if name.endswith("_mean")]
    means = summary.rename(columns={name: name.removesuffix("_mean") for name in named})
    found = tables.summarise(means, ["data", "scenario", "missing", "method"], [n.removesuffix("_mean") for n in named])
    return found.rename(columns={"seeds": "queries"})


def markdown(means: pd.DataFrame) -> str:
    """Return the printed table of one scenario, with one row per method and share of missing genes.

    If a method has results for fewer queries than others, the row says for how many.
    """
    shown = [name for name in SHOWN if f"{name}_mean" in means and means[f"{name}_mean"].notna().any()]
    rows = []
    for _, row in means.iterrows():
        title = METHODS[row["method"]].title + (f", {row['missing']:.0%} missing" if row["missing"] else "")
        if row["queries"] < means["queries"].max():
            title += f" (of {row['queries']})"
        rows.append([title, *(tables.spread(row, name, SHOWN[name][1]) for name in shown)])
    return tables.markdown(["method", *(SHOWN[name][0] for name in shown)], rows)


if __name__ == "__main__":
    main()
