"""scANVI (Xu et al., Molecular Systems Biology 2021) and scArches (Lotfollahi et al., Nature Biotechnology 2021).

The settings are those of the scArches tutorial of scvi-tools, with at most 200 epochs for scVI on the reference.
"""

import scvi
from anndata import AnnData
from lab.contract import Arrays
from lab.mapping import by_probability, log1p_cp10k, run, variable_genes

EPOCHS, LABEL_EPOCHS, SURGERY_EPOCHS = 200, 20, 100
NETWORK = {"use_layer_norm": "both", "use_batch_norm": "none", "encode_covariates": True, "dropout_rate": 0.2}
NETWORK |= {"n_layers": 2}
UNLABELLED = "unlabelled"


def fit(reference: AnnData, seed: int) -> scvi.model.SCANVI:
    """Train scVI on the counts of the highly variable genes, then scANVI with the labels."""
    scvi.settings.seed = seed
    reference = reference[:, variable_genes(log1p_cp10k(reference))].copy()
    scvi.model.SCVI.setup_anndata(reference, batch_key="batch")
    model = scvi.model.SCVI(reference, **NETWORK)
    model.train(max_epochs=EPOCHS, early_stopping=True, enable_progress_bar=False)
    labelled = scvi.model.SCANVI.from_scvi_model(model, unlabeled_category=UNLABELLED, labels_key="cell_type")
    labelled.train(max_epochs=LABEL_EPOCHS, n_samples_per_label=100, enable_progress_bar=False)
    return labelled


def transfer(model: scvi.model.SCANVI, query: AnnData) -> Arrays:
    """Train the weights of the new batch. scvi-tools fills in zeros for the genes that the query lacks."""
    query.obs["cell_type"] = UNLABELLED
    scvi.model.SCANVI.prepare_query_anndata(query, model)
    mapped = scvi.model.SCANVI.load_query_data(query, model)
    settings = {"plan_kwargs": {"weight_decay": 0.0}, "check_val_every_n_epoch": 10}
    mapped.train(max_epochs=SURGERY_EPOCHS, enable_progress_bar=False, **settings)
    found = mapped.predict(soft=True)
    return by_probability(
        found.columns,
        found.to_numpy(),
        embedding=mapped.get_latent_representation(),
        reference_embedding=model.get_latent_representation(),
    )


if __name__ == "__main__":
    run(fit, transfer)
