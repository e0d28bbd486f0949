from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import scproto

HEAVY = {"faiss", "lightning", "matplotlib", "numba", "scanpy", "scib_metrics", "scvi", "sklearn", "torch", "umap"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import scproto",
        "import scproto; scproto.__version__; dir(scproto)",
        "import scproto.datasets",
        "import scproto.pl",
    ],
)
def test_light_imports_stay_light(statement):
    of_anndata = modules_after("import anndata")  # which loads numba if Dask is installed
    assert not HEAVY & (modules_after(statement) - of_anndata)


def test_the_bare_package_imports_no_library():
    assert not (HEAVY | {"anndata", "h5py", "numpy", "pandas", "scipy", "zarr"}) & modules_after("import scproto")


def test_the_version_matches_pyproject():
    pyproject = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert scproto.__version__ == pyproject["project"]["version"]


def test_every_public_name_resolves():
    assert set(dir(scproto)) == set(scproto.__all__)
    for name in scproto.__all__:
        assert getattr(scproto, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = scproto.nothing


def test_lowest_constraints_are_the_lower_bounds():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["test"]
    bounds = dict(requirement.split(",")[0].split(">=") for requirement in requirements)
    lines = (root / "constraints" / "lowest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert pinned.keys() == bounds.keys()
    for name, version in pinned.items():
        assert version == bounds[name] or version == f"{bounds[name]}.0", name
