"""Low-rank approximation of log1p CP10k, with the rank chosen as in ALRA (Linderman et al., Nat. Commun. 2022)."""

import numpy as np
from anndata import AnnData
from lab.contract import Arrays, depth_of, run
from sklearn.utils.extmath import randomized_svd

N_SINGULAR = 100
"""Number of singular values to compute; those from `N_SIGNAL` on count as noise."""
N_SIGNAL = 80
N_DEVIATIONS = 6


def low_rank(adata: AnnData, seed: int) -> Arrays:
    """Reconstruct from the leading singular vectors."""
    depth = depth_of(adata)
    x = np.log1p(adata.X.toarray() / depth * 1e4)
    n = min(N_SINGULAR, *(size - 1 for size in x.shape))
    left, singular, right = randomized_svd(x, n, n_iter=10, random_state=seed)
    rank = choose_rank(singular)
    plain = (left[:, :rank] * singular[:rank]) @ right[:rank]
    return {"plain": np.expm1(np.maximum(plain, 0)) * depth / 1e4}


def choose_rank(singular: np.ndarray) -> int:
    """Return the position of the last singular value whose gap to the next clearly exceeds the gaps of the noise."""
    gaps = singular[:-1] - singular[1:]
    noise = gaps[min(N_SIGNAL, len(gaps) // 2) - 1 :]
    above = np.flatnonzero(gaps > noise.mean() + N_DEVIATIONS * noise.std())
    return int(above[-1]) + 1 if len(above) else 1


if __name__ == "__main__":
    run(low_rank)
