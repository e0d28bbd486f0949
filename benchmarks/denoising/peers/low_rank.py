"""Low rank of log1p CP10k, plain and with the thresholds of ALRA (Linderman et al., Nature Communications 2022).

Written from the description in the paper; not the authors' code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lab.contract import Arrays, depth_of, run
from sklearn.utils.extmath import randomized_svd

N_SINGULAR = 100
"""Singular values that are computed; those from `N_SIGNAL` on are taken for noise."""
N_SIGNAL = 80
N_DEVIATIONS = 6
QUANTILE = 0.001


def low_rank(adata: Any, seed: int) -> Arrays:
    """Reconstruct from the leading singular vectors, then restore zeros and scale."""
    depth = depth_of(adata)
    x = np.log1p(adata.X.toarray() / depth * 1e4)
    n = min(N_SINGULAR, *(size - 1 for size in x.shape))
    left, singular, right = randomized_svd(x, n, n_iter=10, random_state=seed)
    rank = choose_rank(singular)
    plain = (left[:, :rank] * singular[:rank]) @ right[:rank]
    to_counts = depth / 1e4
    return {
        "plain": np.expm1(np.maximum(plain, 0)) * to_counts,
        "ALRA-like": np.expm1(threshold(plain, x)) * to_counts,
    }


def choose_rank(singular: np.ndarray) -> int:
    """Return the last singular value that exceeds the next by more than the gaps of the noise do."""
    gaps = singular[:-1] - singular[1:]
    noise = gaps[min(N_SIGNAL, len(gaps) // 2) - 1 :]
    above = np.flatnonzero(gaps > noise.mean() + N_DEVIATIONS * noise.std())
    return int(above[-1]) + 1 if len(above) else 1


def threshold(plain: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Set to zero what is not above the size of a gene's lowest values, and scale the others as the observed ones."""
    kept = np.where(plain > np.abs(np.quantile(plain, QUANTILE, axis=0)), plain, 0.0)
    for gene in range(x.shape[1]):
        found, observed = kept[:, gene] > 0, x[x[:, gene] > 0, gene]
        values = kept[found, gene]
        if len(values) > 1 and len(observed) > 1 and values.std() > 0:
            kept[found, gene] = (values - values.mean()) / values.std() * observed.std() + observed.mean()
    return np.where((kept <= 0) & (x > 0), x, np.maximum(kept, 0.0))


if __name__ == "__main__":
    run(low_rank)
