"""The site lists every public name, and no name that does not exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import scproto

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not {"_build", "generated"} & set(page.parts))
LISTED = re.findall(r"^   (scproto\.\S+)$", (DOCS / "api" / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
PACKAGES = ["datasets", "losses", "metrics", "pl", "pp", "tl"]


def resolve(name):
    home, _, attribute = name.rpartition(".")
    return getattr(import_module(home), attribute)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_function_is_in_the_api_page(package):
    public = {f"scproto.{package}.{name}" for name in import_module(f"scproto.{package}").__all__}
    assert {name for name in LISTED if name.startswith(f"scproto.{package}.")} == public


def test_every_public_name_of_the_package_is_in_the_api_page():
    parts = {name.split(".")[1] for name in LISTED}
    assert set(scproto.__all__) - {"__version__"} <= parts


def test_every_name_is_listed_once_and_exists():
    assert len(LISTED) == len(set(LISTED))
    for name in LISTED:
        assert resolve(name).__doc__, name


def test_every_page_is_in_a_table_of_contents():
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}
    listed = set()
    for page in ("index", "api/index", "decisions/index"):
        folder = page.removesuffix("index")
        for block in re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.S):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {folder + re.sub(r".*<(.*)>", r"\1", entry) for entry in entries}
    assert listed == pages - {"index"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_references_to_the_api_exist(page):
    for name in re.findall(r"\{py:\w+\}`~?(scproto[\w.]*)`", page.read_text(encoding="utf-8")):
        home = next((listed for listed in LISTED if name == listed or name.startswith(f"{listed}.")), None)
        assert home is not None, name
        target = resolve(home)
        for attribute in name[len(home) :].split(".")[1:]:
            target = getattr(target, attribute)


def test_every_reference_is_cited_and_every_citation_is_a_reference():
    listed = re.findall(r"^@\w+\{(\w+),$", (DOCS / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    cited = {key for text in texts for key in re.findall(r"\{cite:\w+\}`(\w+)`", text)}
    assert sorted(listed) == sorted(cited)


def test_the_code_of_the_concepts_runs(capsys):
    """Run its cells in order. Those of the tutorials take minutes and run when the site is built."""
    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert cells
    names = {}
    for cell in cells:
        code = re.sub(r"\A---\n.*?^---\n", "", cell, flags=re.DOTALL | re.MULTILINE)  # options of the cell
        code = re.sub(r"^:.*\n", "", code, flags=re.MULTILINE)
        exec(compile(code, "concepts.md", "exec"), names)
    names["plt"].close("all")
    capsys.readouterr()
