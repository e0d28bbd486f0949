"""Score how many cells of rare types each method finds, by size of the type, in simulated atlases.

    python benchmarks/quality/rare.py --seeds 0 1 2 --out rare/

Each atlas has pairs of a common and a rare type that are each other's nearest relatives, in batches of equal size and
about equal composition. Each seed sets both the atlas and the method. The recall of a type is the share of its cells
that are in a metacell led by it; cells without a metacell count as missed. The script prints the mean over the types of
each size. Like ``compare.py``, it computes only what the results folder does not yet contain.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[1]))

from compare import run_of, write
from lab import cli, tables
from lab.data import numbers_of_metacells
from lab.runs import Run, complete, failures
from methods import METHODS, prepare

from scproto._files import atomic_path
from scproto.datasets import simulate_atlas
from scproto.inputs import read_obs
from scproto.metrics import metacell_scores

SHARES = {"0.05 %": 0.0005, "0.1 %": 0.001, "0.2 %": 0.002, "0.5 %": 0.005}
"""Sizes of the rare types, as shares of all cells."""

COMMON = "common"
"""Size of all other types."""

N_EACH, N_BATCHES = 4, 4
"""Number of rare types of each size, and of batches."""

SCORES = ("n_metacells", "purity", "batch_entropy")


def simulate(n_cells: int, seed: int) -> AnnData:
    """Simulate an atlas; ``obs["size"]`` names the size of each cell's type.

    The types are the leaves of a tree in which types 2i and 2i + 1 share all edges but the last. The odd ones are rare.
    Cells that do not go evenly into the batches go to other batches in every other type. Two programmes vary the cells
    within a type, so that splitting a common type also explains variance.
    """
    totals = np.repeat(list(SHARES.values()), N_EACH) * n_cells
    starts = np.arange(len(totals)) % 2 / 2
    rare = np.diff(np.floor(np.linspace(0, totals, N_BATCHES + 1) + starts + 1e-9), axis=0)
    common = np.tile((n_cells / N_BATCHES - rare.sum(axis=1, keepdims=True)) / len(totals), len(totals))
    counts = np.stack([common, rare], axis=2).reshape(N_BATCHES, -1)
    settings = {"composition": counts, "trajectory": False, "n_programmes": 2, "seed": seed}
    adata = simulate_atlas(n_cells, 1000, N_BATCHES, counts.shape[1], **settings)
    sizes = np.array([name for size in SHARES for name in (COMMON, size) * N_EACH])
    adata.obs["size"] = sizes[adata.obs["cell_type"].cat.codes]
    return adata


def score(assignment: np.ndarray, cells: pd.DataFrame) -> dict[str, float]:
    """Return the mean recall of the types of each size, and scores of the metacells; -1 stands for no metacell."""
    taken, labels = assignment >= 0, cells["cell_type"].astype(str)
    leading = labels[taken].groupby(assignment[taken]).agg(lambda group: group.mode()[0])
    found = leading.reindex(assignment).to_numpy() == labels
    recall = found.groupby([cells["size"].astype(str), labels]).mean().groupby(level=0).mean()
    scores = metacell_scores(assignment[taken], labels[taken], cells["batch"].astype(str)[taken])
    return (
        {f"recall {name}": recall[name] for name in (*SHARES, COMMON)}
        | {name: scores[name] for name in SCORES}
        | {"assigned": float(taken.mean())}
    )


def run_on_atlas(out: Path, n_cells: int, method: str, seed: int) -> Run:
    """Return the run of a method on the atlas of a seed; write the atlas unless it was written before."""
    path = out / "atlases" / f"{n_cells}cells_seed{seed}.h5ad"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            simulate(n_cells, seed).write_h5ad(temporary, compression="gzip")
    data = prepare(path, out / "inputs")
    run = run_of(out, data, method, numbers_of_metacells([], {data.name: n_cells})[data.name], seed)
    about = run.about | {"data": f"{n_cells} cells"}
    return replace(run, about=about, score=lambda found: score(found["assignment"], read_obs(path)))


def markdown(summary: pd.DataFrame) -> str:
    """Return the table with one row per method and the recall of each size of type."""
    shown = [*(f"recall {name}" for name in (*SHARES, COMMON)), "purity", "batch_entropy"]
    rows = [[row["method"], *(tables.spread(row, name, 2) for name in shown)] for _, row in summary.iterrows()]
    return tables.markdown(["method", *SHARES, COMMON, "purity", "entropy"], rows)


def main() -> None:
    """Run and score the missing methods, and write the tables."""
    parser = cli.parser(__doc__, *cli.OF_PEERS, out=Path("rare"))
    several = ["scproto", "harmony", "pca", "seacells", "metacell2"]
    parser.add_argument("--methods", nargs="+", default=several, choices=METHODS, metavar="METHOD")
    parser.add_argument("--n-cells", type=int, default=12_000)
    given = parser.parse_args()
    runs = (run_on_atlas(given.out, given.n_cells, *one) for one in product(given.methods, given.seeds))
    complete(runs, given, write)
    for name, part in write(given.out).groupby("data", sort=False):
        print(f"**{name}**\n\n{markdown(part)}\n")
    print(failures(given.out))


if __name__ == "__main__":
    main()
