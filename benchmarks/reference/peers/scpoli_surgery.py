"""scPoli (De Donno et al., Nature Methods 2023) with the settings of its tutorial on reference mapping."""

import anndata
import numpy as np
import torch
from lab.contract import Arrays
from lab.mapping import log1p_cp10k, run, variable_genes, with_genes

anndata.read = anndata.read_h5ad  # scarches 0.6.1 imports this name, which anndata has removed

from scarches.models.scpoli import scPoli  # noqa: E402

EPOCHS = {"n_epochs": 50, "pretraining_epochs": 40}
EARLY_STOPPING = {"early_stopping_metric": "val_prototype_loss", "mode": "min", "threshold": 0, "patience": 20}
EARLY_STOPPING |= {"reduce_lr": True, "lr_patience": 13, "lr_factor": 0.1}


def fit(reference: anndata.AnnData, seed: int) -> scPoli:
    """Train on the counts of the highly variable genes, with a prototype for each label."""
    np.random.seed(seed)  # noqa: NPY002 - scarches splits the cells with it
    torch.manual_seed(seed)
    reference = reference[:, variable_genes(log1p_cp10k(reference))].copy()
    reference.X = reference.X.toarray()
    model = scPoli(reference, condition_keys="batch", cell_type_keys="cell_type", embedding_dims=5, recon_loss="nb")
    model.train(**EPOCHS, early_stopping_kwargs=EARLY_STOPPING, eta=5)
    return model


def transfer(model: scPoli, query: anndata.AnnData) -> Arrays:
    """Train the embedding of the new batch, with zeros for missing genes; far from all prototypes is unknown."""
    cells = with_genes(query, model.adata.var_names)
    cells.X = cells.X.toarray()
    cells.obs["cell_type"] = "unlabelled"
    mapped = scPoli.load_query_data(cells, model, labeled_indices=[])
    mapped.train(**EPOCHS, eta=10)
    return {
        "labels": np.asarray(list(model.cell_types_), dtype=str),
        "probability": mapped.classify(cells, get_prob=True)["cell_type"]["weighted_distances"],
        "unknown": mapped.classify(cells)["cell_type"]["uncert"],
        "embedding": mapped.get_latent(cells, mean=True),
        "reference_embedding": mapped.get_latent(model.adata, mean=True),
    }


if __name__ == "__main__":
    run(fit, transfer)
