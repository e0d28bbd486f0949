"""Settings of the site; ``make docs`` builds it into ``docs/_build/html``."""

from __future__ import annotations

import os
from importlib.metadata import metadata

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.ext.napoleon import NumpyDocstring
from sphinx.writers.html5 import HTML5Translator

about = metadata("scproto")
urls = dict(url.split(", ") for url in about.get_all("Project-URL"))

project = about["Name"]
author = about["Author"]
project_copyright = f"the {author}"
version = release = about["Version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "sphinxext.opengraph",
]
exclude_patterns = ["_build", "_static", "_templates"]
templates_path = ["_templates"]
suppress_warnings = [
    "myst.header",  # the benchmark pages have titles of the third level below the first
    "ref.python",  # classes that share the name of an attribute
]

html_theme = "sphinx_book_theme"
html_title = "scproto"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_baseurl = ogp_site_url = os.environ.get("READTHEDOCS_CANONICAL_URL", f"{urls['Documentation']}/")
html_math_renderer = "mathml"  # browsers draw it themselves, where MathJax would be a script from elsewhere
html_theme_options = {
    "navbar_persistent": [],  # a second search field, which the theme below this one adds
    "path_to_docs": "docs",
    "repository_url": urls["Source"],
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_repository_button": True,
}
ogp_image = "_images/demo.png"
ogp_social_cards = {"enable": False}  # one picture for all pages

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

# An inventory that is not reached within the time is replaced by an empty one, and its links stay plain text.
intersphinx_timeout = 10
intersphinx_mapping = {
    name: (url, (None, "empty.inv"))
    for name, url in {
        "python": "https://docs.python.org/3",
        "anndata": "https://anndata.scverse.org/en/stable",
        "lightning": "https://lightning.ai/docs/pytorch/stable",
        "matplotlib": "https://matplotlib.org/stable",
        "numpy": "https://numpy.org/doc/stable",
        "pandas": "https://pandas.pydata.org/docs",
        "scanpy": "https://scanpy.scverse.org/en/stable",
        "scipy": "https://docs.scipy.org/doc/scipy",
        "scvi-tools": "https://docs.scvi-tools.org/en/stable",
        "torch": "https://docs.pytorch.org/docs/stable",
    }.items()
}

autosummary_filename_map = {"scproto.tl.Check": "scproto.tl.Check-result"}  # Check and check would be one file on macOS
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True  # no second entry for an attribute that is a property, too
napoleon_use_rtype = False
python_maximum_signature_line_length = 88

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
nb_output_stderr = "remove"  # what Lightning logs

LINKS = {
    "../benchmarks/denoising/README.md": "benchmarks/denoising.md",
    "../benchmarks/quality/README.md": "benchmarks/quality.md",
    "../benchmarks/reference/README.md": "benchmarks/reference.md",
    "../benchmarks/speed/README.md": "benchmarks/speed.md",
}
"""Files outside this folder that pages link to, and the pages that show them."""


def _mend_links(app: Sphinx, page: str, source: list[str]) -> None:
    for path, shown in LINKS.items():
        source[0] = source[0].replace(f"]({path})", f"]({shown})")


def _returns(self: NumpyDocstring, section: str) -> list[str]:
    """Read the section "Returns" as prose or as a list of names, where napoleon takes each line for a value."""
    return [":returns:", *self._indent(self._dedent(self._consume_to_next_section())), ""]


NumpyDocstring._parse_returns_section = _returns


def _inline_formula(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _formula(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f"<div>{convert(node.astext(), display='block')}</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Hook in what is set here."""
    app.connect("source-read", _mend_links)
    app.add_html_math_renderer("mathml", (_inline_formula, None), (_formula, None))
