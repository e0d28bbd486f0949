"""The unchanged counts."""

from anndata import AnnData
from lab.contract import Arrays, run


def no_denoising(adata: AnnData, seed: int) -> Arrays:
    """Return the input."""
    return {"counts": adata.X.toarray()}


if __name__ == "__main__":
    run(no_denoising)
