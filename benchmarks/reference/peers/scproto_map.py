"""scproto with its defaults: a fit of the reference, and the query mapped onto it."""

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
    return model


def transfer(model: scproto.SCPROTO, query: AnnData) -> Arrays:
    """Map the query and transfer the labels."""
    scproto.tl.map_query(query, model)
    scproto.tl.transfer_labels(query, model, "cell_type")
    return {
        "labels": query.obsm["scproto_cell_type_probability"].columns.to_numpy(str),
        "probability": query.obsm["scproto_cell_type_probability"].to_numpy(),
        "sets": query.obsm["scproto_cell_type_set"].to_numpy(),
        "unknown": query.obs["scproto_cell_type_unknown"].to_numpy(),
        "embedding": query.obsm["X_scproto"],
        "reference_embedding": model.get_latent_representation(),
    }


if __name__ == "__main__":
    run(fit, transfer)
