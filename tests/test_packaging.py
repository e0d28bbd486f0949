from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import scproto

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
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


def pins(name: str) -> dict[str, str]:
    """Versions that a file of ``constraints`` allows, the highest where they depend on Python."""
    lines = (ROOT / "constraints" / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ;")[0].split("==") for line in lines if "==" in line)


def test_lowest_constraints_are_the_lower_bounds():
    requirements = PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["test"]
    bounds = dict(requirement.split(",")[0].split(">=") for requirement in requirements)
    lowest = pins("lowest.txt")
    assert lowest.keys() == bounds.keys()
    for name, version in lowest.items():
        assert version == bounds[name] or version == f"{bounds[name]}.0", name


def test_every_requirement_has_a_tested_version():
    groups = PYPROJECT["dependency-groups"]
    wanted = PYPROJECT["project"]["dependencies"] + [line for group in groups.values() for line in group]
    names = {re.split("[<>=]", line)[0] for line in wanted if isinstance(line, str)}
    assert names <= pins("tested.txt").keys() | pins("docs.txt").keys()


def test_the_workflow_tests_the_versions_of_python_that_the_package_names():
    workflow = (ROOT / ".github" / "workflows" / "test.yaml").read_text(encoding="utf-8")
    tested = re.findall(r"\d\.\d+", re.search(r"python: \[(.*)\]", workflow)[1])
    prefix = "Programming Language :: Python :: "
    named = [line.removeprefix(prefix) for line in PYPROJECT["project"]["classifiers"] if line.startswith(prefix)]
    assert ["3 :: Only", *tested] == named
    assert PYPROJECT["project"]["requires-python"] == f">={tested[0]}"


def test_the_hook_has_the_ruff_of_make_lint():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.search(r"ruff-pre-commit\n +rev: v(\S+)", hooks)[1] == pins("tested.txt")["ruff"]
