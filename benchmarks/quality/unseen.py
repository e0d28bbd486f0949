"""Make data sets on which no default of scproto was chosen, for ``compare.py``.

    python benchmarks/quality/unseen.py DATA_FOLDER simulated --out unseen/ --batches 4 --sd 0.5 --seed 1

Each file needs raw counts in ``X``, labels in ``obs`` and no batches. Its cells are cut at random into batches of about
equal size. Each batch has a log-normal factor for each gene, and binomial thinning of the counts applies these factors
relative to the largest of the gene. So cells lose counts, but the counts stay counts, and the labels stay true.
``simulated`` stands for an atlas from :func:`scproto.datasets.simulate_atlas`, with these batches and this standard
deviation of the shift; seed 0 gives the ``simulated`` of the other scripts, and other seeds new atlases.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

sys.path.append(str(Path(__file__).parents[1]))

from batches import parts_of
from lab import cli
from lab.data import SIMULATED, find_files

from scproto._errors import InputError
from scproto._files import atomic_path
from scproto.datasets import simulate_atlas
from scproto.datasets._pbmc import thin
from scproto.inputs import read_cells, read_counts


def shifted(adata: AnnData, n_batches: int, sd: float, seed: int, label_key: str = "cell_type") -> AnnData:
    """Return the counts of the cells with simulated batches and their shifts, and the labels.

    Raises
    ------
    InputError
        If the cells have no labels, no counts, or already several batches.
    """
    if label_key not in adata.obs:
        raise InputError(f"The cells have no obs[{label_key!r}]: name the column of the labels with --label-key.")
    if "batch" in adata.obs and adata.obs["batch"].nunique() > 1:
        raise InputError("The cells already have batches in obs['batch']: give the file to compare.py as it is.")
    counts, rng = read_counts(adata), np.random.default_rng(seed)
    batch = pd.Categorical(parts_of(np.full(adata.n_obs, "batch", dtype=object), n_batches, seed))
    factors = rng.lognormal(sigma=sd, size=(n_batches, counts.matrix.shape[1]))
    thinned = thin(counts.matrix, factors / factors.max(axis=0), batch.codes, rng)
    obs = pd.DataFrame({"batch": batch, "cell_type": adata.obs[label_key].to_numpy()}, index=adata.obs_names)
    return AnnData(thinned, obs, pd.DataFrame(index=adata.var_names[counts.genes]))


def main() -> None:
    """Write one file for each data set."""
    parser = cli.parser(__doc__, "--seed", "--out", out=Path("unseen"))
    parser.add_argument("data", nargs="+", help="folders, .h5ad files, or simulated")
    parser.add_argument("--batches", type=int, default=4, help="number of batches (default: %(default)s)")
    parser.add_argument("--sd", type=float, default=0.5, help="standard deviation of the log factors")
    parser.add_argument("--label-key", default="cell_type", help="obs column of the labels (default: %(default)s)")
    given = parser.parse_args()
    if given.batches < 2 or given.sd < 0:
        parser.error("--batches must be at least 2, and --sd at least 0.")
    given.out.mkdir(parents=True, exist_ok=True)
    ending = f"{given.batches}batches_sd{given.sd:g}_seed{given.seed}.h5ad"
    paths = [Path(name) for name in given.data if name != "simulated"]
    with cli.one_sentence():
        for file in find_files(paths) if paths else ():
            try:
                made = shifted(read_cells(file), given.batches, given.sd, given.seed, given.label_key)
            except InputError as error:
                raise InputError(f"{file}: {error}") from error
            write(made, given.out / f"{file.stem}_{ending}")
    if "simulated" in given.data:
        settings = {"n_batches": given.batches, "batch_strength": given.sd, "seed": given.seed}
        write(simulate_atlas(**SIMULATED | settings), given.out / f"simulated_{ending}")


def write(adata: AnnData, path: Path) -> None:
    """Write a data set and say where."""
    with atomic_path(path) as temporary:
        adata.write_h5ad(temporary, compression="gzip")
    cli.say(f"{path}: {adata.n_obs:,} cells, {adata.n_vars:,} genes")


if __name__ == "__main__":
    main()
