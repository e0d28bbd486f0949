"""Split the counts of a data set in two, and write the input that all methods get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from lab.data import digest_of
from lab.records import write_json

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.inputs import read_cells, read_counts
from scproto.metrics.expression import log1p_cp10k, variable_genes
from scproto.metrics.held_out import split_counts

SEEN = 0.9
"""Share of the molecules that the methods see, as in Open Problems."""

N_DECOYS = 50
"""Number of decoys: copies of genes with shuffled cells, which are independent of each other and of the types."""


@dataclass(frozen=True)
class Split:
    """The largest batch of a data set, split into seen and held-out molecules."""

    name: str
    seed: int
    n_genes: int
    """Requested number of highly variable genes."""
    digest: str
    """SHA-256 of the original file."""
    seen: Path
    """Input of the methods: seen counts of the chosen genes, followed by the decoys (``var["decoy"]``)."""
    held_out: Path
    """Held-out counts of the chosen genes, and ``obs["cell_type"]``."""


def split(original: Path, folder: Path, seed: int, n_genes: int) -> Split:
    """Split the molecules of the largest batch and write both parts.

    The seen molecules decide which genes are highly variable. If there are no more than `n_genes`, all genes are kept.
    The seed is for the split and the decoys. Parts that were written before from the same file are kept.

    Raises
    ------
    InputError
        If the file lacks counts, batches or labels.
    """
    digest = digest_of(original)
    stem = f"{original.stem}_g{n_genes}_seed{seed}"
    paths = {part: folder / f"{stem}_{part}.h5ad" for part in ("seen", "held_out")}
    record = folder / f"{stem}.json"
    if not record.exists() or json.loads(record.read_text())["digest"] != digest:
        folder.mkdir(parents=True, exist_ok=True)
        for part, cells in _split(largest_batch(original), seed, n_genes).items():
            with atomic_path(paths[part]) as path:
                cells.write_h5ad(path, compression="gzip")
        write_json(record, {"digest": digest})
    return Split(original.stem, seed, n_genes, digest, paths["seen"].resolve(), paths["held_out"].resolve())


def largest_batch(original: Path) -> AnnData:
    """Return the cells of the largest batch, with counts in ``X``."""
    adata = read_cells(original)
    if absent := [key for key in ("batch", "cell_type") if key not in adata.obs]:
        raise InputError(f"{original} has no obs[{absent[0]!r}].")
    return adata[adata.obs["batch"] == adata.obs["batch"].value_counts().index[0]].copy()


def _split(adata: AnnData, seed: int, n_genes: int) -> dict[str, AnnData]:
    rng = np.random.default_rng(seed)
    counts = read_counts(adata)
    genes = adata.var_names[counts.genes]
    seen, held_out = split_counts(counts.matrix, rng, SEEN)
    chosen = np.flatnonzero(np.asarray(seen.sum(0)).ravel())
    chosen = chosen[variable_genes(log1p_cp10k(seen[:, chosen]), n_genes)]
    seen, held_out, names = seen[:, chosen], held_out[:, chosen], genes[chosen].astype(str)
    copied = rng.choice(np.argsort(-np.asarray(seen.sum(0)).ravel())[: 4 * N_DECOYS], N_DECOYS, replace=False)
    decoys = sp.hstack([seen[rng.permutation(seen.shape[0])][:, [gene]] for gene in copied])
    obs = pd.DataFrame(index=pd.Index(adata.obs_names, dtype=object))
    var = pd.DataFrame(index=pd.Index(names, dtype=object))
    labels = pd.Categorical(adata.obs["cell_type"].astype(str).to_numpy(dtype=object))
    index = pd.Index([*names, *(f"decoy_{names[gene]}" for gene in copied)], dtype=object)
    is_decoy = np.arange(len(index)) >= len(names)
    return {
        "seen": AnnData(sp.hstack([seen, decoys], format="csr"), obs, pd.DataFrame({"decoy": is_decoy}, index=index)),
        "held_out": AnnData(held_out.tocsr(), obs.assign(cell_type=labels), var),
    }
