"""Symphony (Kang et al., Nature Communications 2021) in Python, with the steps and settings of its instructions.

Harmony's ridge penalty is 1, its default when Symphony was published. harmonypy 2 has another default.
"""

import scanpy as sc
import symphonypy as sp
from anndata import AnnData
from lab.contract import THREADS, Arrays
from lab.mapping import N_GENES, by_probability, run
from sklearn.neighbors import KNeighborsClassifier

DEPTH, N_DIMS = 1e5, 30


def fit(reference: AnnData, seed: int) -> AnnData:
    """Integrate the reference with Harmony."""
    sc.pp.normalize_total(reference, target_sum=DEPTH)
    sc.pp.log1p(reference)
    sc.pp.highly_variable_genes(reference, batch_key="batch", n_top_genes=N_GENES)
    reference = reference[:, reference.var["highly_variable"]].copy()
    sc.pp.scale(reference, max_value=10)
    sc.pp.pca(reference, n_comps=N_DIMS, zero_center=False, random_state=seed)
    sp.pp.harmony_integrate(reference, key="batch", random_seed=seed, ncores=THREADS, lamb=1)
    return reference


def transfer(reference: AnnData, query: AnnData) -> Arrays:
    """Map the query; its own distance says how unknown a cell is. symphonypy's kNN has scikit-learn's defaults."""
    sc.pp.normalize_total(query, target_sum=DEPTH)
    sc.pp.log1p(query)
    sp.tl.map_embedding(query, reference, key="batch")
    sp.tl.per_cell_confidence(query, reference)
    of_reference, of_query = reference.obsm["X_pca_harmony"], query.obsm["X_pca_harmony"]
    votes = KNeighborsClassifier().fit(of_reference, reference.obs["cell_type"].astype(str))
    found = by_probability(
        votes.classes_, votes.predict_proba(of_query), embedding=of_query, reference_embedding=of_reference
    )
    return found | {"unknown": query.obs["symphony_per_cell_dist"].to_numpy()}


if __name__ == "__main__":
    run(fit, transfer)
