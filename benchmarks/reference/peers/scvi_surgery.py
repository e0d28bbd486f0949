"""scVI (Lopez et al., Nature Methods 2018) and scArches (Lotfollahi et al., Nature Biotechnology 2021), then kNN.

The settings are those of the scArches tutorial of scvi-tools, with at most 200 epochs for the reference.
"""

import scvi
from anndata import AnnData
from lab.contract import Arrays
from lab.mapping import by_neighbours, log1p_cp10k, run, variable_genes

EPOCHS, SURGERY_EPOCHS = 200, 100
NETWORK = {"use_layer_norm": "both", "use_batch_norm": "none", "encode_covariates": True, "dropout_rate": 0.2}
NETWORK |= {"n_layers": 2}


def fit(reference: AnnData, seed: int) -> scvi.model.SCVI:
    """Train on the counts of the highly variable genes, with the batch as covariate."""
    scvi.settings.seed = seed
    reference = reference[:, variable_genes(log1p_cp10k(reference))].copy()
    scvi.model.SCVI.setup_anndata(reference, batch_key="batch")
    model = scvi.model.SCVI(reference, **NETWORK)
    model.train(max_epochs=EPOCHS, early_stopping=True, enable_progress_bar=False)
    return model


def transfer(model: scvi.model.SCVI, query: AnnData) -> Arrays:
    """Train the weights of the new batch. scvi-tools fills in zeros for the genes that the query lacks."""
    scvi.model.SCVI.prepare_query_anndata(query, model)
    mapped = scvi.model.SCVI.load_query_data(query, model)
    mapped.train(max_epochs=SURGERY_EPOCHS, plan_kwargs={"weight_decay": 0.0}, enable_progress_bar=False)
    labels = model.adata.obs["cell_type"]
    return by_neighbours(model.get_latent_representation(), labels, mapped.get_latent_representation())


if __name__ == "__main__":
    run(fit, transfer)
