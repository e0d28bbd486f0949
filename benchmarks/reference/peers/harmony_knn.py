"""Harmony (Korsunsky et al., Nature Methods 2019) on the PCA of reference and query; the nearest cells vote.

It is no mapping: every query takes another integration of the whole reference.
"""

import anndata
from harmonypy import run_harmony
from lab.contract import THREADS, Arrays
from lab.mapping import N_DIMS, by_neighbours, log1p_cp10k, run, variable_genes, with_genes
from sklearn.decomposition import PCA


def keep(reference: anndata.AnnData, seed: int) -> tuple[anndata.AnnData, int]:
    """Wait for the query."""
    return reference, seed


def transfer(model: tuple[anndata.AnnData, int], query: anndata.AnnData) -> Arrays:
    """Correct the PCA of the genes that are highly variable in the reference, with harmonypy's defaults."""
    reference, seed = model
    expression = log1p_cp10k(reference)
    genes = variable_genes(expression)
    both = anndata.concat([expression[:, genes], with_genes(log1p_cp10k(query), genes)])
    embedding = PCA(N_DIMS, svd_solver="arpack", random_state=seed).fit_transform(both.X)
    corrected = run_harmony(embedding, both.obs[["batch"]], "batch", random_state=seed, ncores=THREADS).Z_corr
    n = reference.n_obs
    return by_neighbours(corrected[:n], reference.obs["cell_type"], corrected[n:])


if __name__ == "__main__":
    run(keep, transfer)
