"""CONCORD (Zhu et al., bioRxiv 2025) with its defaults and the batch as domain, followed by k-means.

The embedding is scaled to unit vectors because CONCORD recommends the cosine distance.
"""

import tempfile

import concord
import scanpy as sc
from anndata import AnnData
from lab.contract import Arrays, clustered, run
from sklearn.preprocessing import normalize


def concord_embedding(adata: AnnData, n_metacells: int, seed: int) -> Arrays:
    """Train on log1p CP10k of the chosen genes."""
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    with tempfile.TemporaryDirectory() as folder:
        model = concord.Concord(adata, save_dir=folder, domain_key="batch", seed=seed)
        model.fit_transform(output_key="concord")
    embedding = normalize(adata.obsm["concord"])
    return clustered(embedding, n_metacells, seed)


if __name__ == "__main__":
    run(concord_embedding)
