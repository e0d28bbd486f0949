"""Read several embeddings off each trained model, and score their distances, neighbours and clusters.

    python benchmarks/quality/embedding.py data/*.h5ad --n-prototypes 60 pbmc=150 --seeds 0 1 2 --out embedding.csv

Each file needs raw counts in ``X`` and ``obs`` columns ``batch`` and ``cell_type``. ``--root TYPE`` is for data with a
trajectory that starts at this type. Its score is the rank correlation, within each batch, of two diffusion pseudotimes:
that of the embedding of all cells, and that of a PCA of the batch alone. Rows that the output already contains are not
computed again.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.stats import spearmanr

sys.path.append(str(Path(__file__).parents[1]))

from lab import cli, tables
from lab.data import find_files, fit, load, numbers_of_files
from scoring import integration

import scproto
from scproto.metacells.axes import EXPLAINED, fit_axes
from scproto.metacells.gamma_poisson import expected_log1p
from scproto.model import SCPROTO
from scproto.network.read_out import in_average_batch, over_batches

KEYS = ["embedding", "data", "n_prototypes"]
SHOWN = {"total": "total", "bio": "bio", "batch": "batch", "corr_weighted": "scGraph", "pseudotime": "pseudotime"}
"""Scores and their headings in the tables."""


def axes(model: SCPROTO, depth: float = 1.0, explained: float = EXPLAINED, *, aligned: bool = True) -> np.ndarray:
    """Fit axes to expression at a multiple of the median depth."""
    depth, placement, module = depth * depth_of(model), model.place(), model.module
    decode, cells = in_average_batch(module, depth), model.cells()
    given = over_batches(module, depth), placement.unit, placement.prototypes, cells.batch, module.n_batches
    found, embedding = fit_axes(decode, *given, explained=explained, seed=model.seed)
    return embedding if aligned else found.project(decode, placement.unit)


def depth_of(model: SCPROTO) -> float:
    """Number of counts at which the default embedding reads expression."""
    return float(model.module.axes_depth)


def expected(model: SCPROTO) -> np.ndarray:
    """Axes of expected log1p CP10k in an average batch."""
    module, depth, placement = model.module, np.float32(depth_of(model)), model.place()
    theta = module.decoder.log_theta.detach().exp().numpy()
    log1p = in_average_batch(module, float(depth))

    def decode(unit: np.ndarray) -> np.ndarray:
        return expected_log1p(np.expm1(log1p(unit)), theta, np.float32(1e4) / depth)

    given = decode(placement.prototypes), placement.unit, placement.prototypes, model.cells().batch
    return fit_axes(decode, *given, module.n_batches, seed=model.seed)[1]


def beside(model: SCPROTO) -> np.ndarray:
    """Hypersphere and axes side by side, at the same mean square."""
    placement = model.place()
    parts = [x - x.mean(0) for x in (placement.unit, placement.embedding)]
    return np.concatenate([x / np.sqrt(x.var(0).sum()) for x in parts], axis=1)


EMBEDDINGS: dict[str, Callable[[SCPROTO], np.ndarray]] = {
    "hypersphere": lambda model: model.place().unit,
    "axes (default)": lambda model: model.place().embedding,
    "80 % of the variance": lambda model: axes(model, explained=0.8),
    "95 % of the variance": lambda model: axes(model, explained=0.95),
    "batches not aligned along the axes": lambda model: axes(model, aligned=False),
    "log1p at ten times the depth": lambda model: axes(model, depth=10.0),
    "expected log1p CP10k": expected,
    "hypersphere and axes": beside,
}


def pseudotime(x: np.ndarray, root: int) -> np.ndarray:
    """Diffusion pseudotime from one cell.

    The formula is that of Haghverdi et al. (2016). scanpy's ``tl.dpt`` takes eigenvalues above 0.9994 for separate
    parts of the data, but where cells are denoised, a narrow trajectory has such eigenvalues, too.
    """
    import scanpy as sc

    adata = AnnData(obsm={"X": x}, shape=(len(x), 0))
    sc.pp.neighbors(adata, use_rep="X", n_neighbors=30)
    sc.tl.diffmap(adata)
    values, components = adata.uns["diffmap_evals"][1:].astype(float), adata.obsm["X_diffmap"][:, 1:].astype(float)
    return np.linalg.norm((components - components[root]) * (values / (1 - values)), axis=1)


def order_kept(adata: AnnData, embedding: np.ndarray, root_type: str) -> float:
    """Mean over batches of the rank correlation of pseudotimes; the root is the batch's cell farthest from the rest."""
    import scanpy as sc

    correlations = []
    for batch in adata.obs["batch"].unique():
        cells = np.flatnonzero(adata.obs["batch"] == batch)
        own = AnnData(scproto.metrics.log1p_cp10k(adata.X[cells]))
        sc.pp.pca(own, n_comps=20)
        at_root = np.flatnonzero(adata.obs["cell_type"].iloc[cells] == root_type)
        centre = own.obsm["X_pca"].mean(0)
        root = at_root[((own.obsm["X_pca"][at_root] - centre) ** 2).sum(1).argmax()]
        expected = pseudotime(own.obsm["X_pca"], int(root))
        correlations.append(spearmanr(expected, pseudotime(embedding, int(cells[root]))[cells])[0])
    return float(np.mean(correlations))


def score(adata: AnnData, embedding: np.ndarray, root_type: str | None) -> dict[str, float]:
    """Score an embedding, using the cells with a label."""
    known = adata.obs["cell_type"].notna().to_numpy()
    labels, batches = adata.obs["cell_type"][known].astype(str), adata.obs["batch"][known].astype(str)
    scores = integration(embedding[known], adata.X[known], labels, batches)
    if root_type in set(labels):
        scores["pseudotime"] = order_kept(adata, embedding, root_type)
    return scores


def rows_of(given: Namespace) -> pd.DataFrame:
    """Train the models that miss a row, score their embeddings, and return all rows."""
    rows = pd.read_csv(given.out).to_dict("records") if given.out.exists() else []
    done = {tuple(row[key] for key in (*KEYS, "seed")) for row in rows}
    files = find_files(given.files)
    numbers = numbers_of_files(given.n_prototypes, files)
    for file, seed in product(files, given.seeds):
        about = (file.stem, numbers[file.stem], seed)
        missing = [name for name in given.embeddings if (name, *about) not in done]
        if not missing:
            continue
        adata = load(file, seed=seed)
        adata = adata[:, adata.var["scproto_gene"].to_numpy()].copy()
        model = fit(adata, given.max_steps, n_prototypes=numbers[file.stem], seed=seed)
        for name in missing:
            scores = score(adata, EMBEDDINGS[name](model), given.root)
            rows.append(dict(zip((*KEYS, "seed"), (name, *about), strict=True)) | {s: scores.get(s) for s in SHOWN})
            tables.write_csv(given.out, pd.DataFrame(rows))
            cli.say(f"{name}, {file.stem}, seed {seed}")
    return pd.DataFrame(rows)


def main() -> None:
    """Score every embedding on every data set and seed."""
    names = "files", "--n-prototypes", "--max-steps", "--seeds", "--out"
    parser = cli.parser(__doc__, *names, out=Path("embedding.csv"))
    parser.add_argument("--embeddings", nargs="+", default=list(EMBEDDINGS), choices=list(EMBEDDINGS), metavar="NAME")
    parser.add_argument("--root", help="cell type at which a trajectory starts")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with cli.one_sentence():
        rows = rows_of(given)
    for score_name, heading in SHOWN.items():
        summary = tables.summarise(rows.astype({score_name: float}), ["embedding", "data"], [score_name])
        data = list(dict.fromkeys(summary["data"]))
        lines = [
            [name, *(tables.spread(part.loc[one], score_name) if one in part.index else "" for one in data)]
            for name, part in ((n, p.set_index("data")) for n, p in summary.groupby("embedding", sort=False))
        ]
        print(f"**{heading}**\n\n{tables.markdown(['embedding', *data], lines)}\n")


if __name__ == "__main__":
    main()
