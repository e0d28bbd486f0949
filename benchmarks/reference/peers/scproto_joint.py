"""scproto on reference and query together, to see what mapping loses against another fit; the nearest cells vote."""

import anndata
from lab.contract import Arrays
from lab.mapping import by_neighbours, run

import scproto


def keep(reference: anndata.AnnData, seed: int) -> tuple[anndata.AnnData, int]:
    """Wait for the query."""
    return reference, seed


def transfer(model: tuple[anndata.AnnData, int], query: anndata.AnnData) -> Arrays:
    """Train on the genes that both have, with the defaults."""
    reference, seed = model
    both = anndata.concat([reference, query])
    scproto.pp.prepare(both, "batch")
    scproto.SCPROTO.setup_anndata(both)
    fitted = scproto.SCPROTO(both, seed=seed)
    fitted.train(accelerator="cpu", enable_progress_bar=False)
    embedding, n = fitted.get_latent_representation(), reference.n_obs
    return by_neighbours(embedding[:n], reference.obs["cell_type"], embedding[n:])


if __name__ == "__main__":
    run(keep, transfer)
