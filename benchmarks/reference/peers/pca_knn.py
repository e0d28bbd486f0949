"""PCA of the reference without any integration; the nearest cells of the reference vote."""

from typing import Any

from anndata import AnnData
from lab.contract import Arrays
from lab.mapping import N_DIMS, by_neighbours, log1p_cp10k, run, variable_genes, with_genes
from sklearn.decomposition import PCA

Fitted = tuple[PCA, Any, Any, Any]


def fit(reference: AnnData, seed: int) -> Fitted:
    """Fit the PCA of log1p CP10k of the highly variable genes."""
    expression = log1p_cp10k(reference)
    genes = variable_genes(expression)
    pca = PCA(N_DIMS, svd_solver="arpack", random_state=seed)
    return pca, genes, pca.fit_transform(expression[:, genes].X), reference.obs["cell_type"]


def transfer(model: Fitted, query: AnnData) -> Arrays:
    """Project the query, with zeros for the genes that it lacks."""
    pca, genes, embedding, labels = model
    return by_neighbours(embedding, labels, pca.transform(with_genes(log1p_cp10k(query), genes).X))


if __name__ == "__main__":
    run(fit, transfer)
