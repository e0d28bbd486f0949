"""scproto with its defaults: a fit of the reference, and the query mapped onto it."""

import numpy as np
from anndata import AnnData
from lab.contract import Arrays
from lab.mapping import run

import scproto


def fit(reference: AnnData, seed: int) -> scproto.SCPROTO:
    """Train on the reference."""
    scproto.pp.prepare(reference, "batch")
    scproto.SCPROTO.setup_anndata(reference)
    model = scproto.SCPROTO(reference, seed=seed)
    model.train(accelerator="cpu", enable_progress_bar=False)
    scproto.tl.learn_labels(reference, model, "cell_type")
    return model


def transfer(model: scproto.SCPROTO, query: AnnData) -> Arrays:
    """Map the query and transfer the labels."""
    mapped = scproto.tl.map_query(query, model)
    scproto.tl.transfer_labels(query, model, "cell_type", query=mapped)
    probability = query.obsm["scproto_cell_type_probabilities"]
    sets = query.obs["scproto_cell_type_set"].astype(str).str.split(" | ", regex=False)
    return {
        "labels": probability.columns.to_numpy(str),
        "probability": probability.to_numpy(),
        "sets": np.array([probability.columns.isin(labels) for labels in sets]),
        "unknown": 1 - query.obs["scproto_cell_type_fit"].to_numpy(),
        "embedding": query.obsm["X_scproto"],
        "reference_embedding": model.get_latent_representation(),
    }


if __name__ == "__main__":
    run(fit, transfer)
