"""Draw the pictures of the README and the front page from the run of ``make demo``.

    .venv/bin/python docs/images/demo.py [CHROMIUM]

The map needs only the package. The two pictures of the report also need Chromium: the program ``chromium`` on the path,
or the one that you name. Without it they stay as they are.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata
from matplotlib.figure import Figure

import scproto

RUN = Path("demo_run")
HERE = Path(__file__).parent
VIEWS = {"report": ("#map", 780), "table": ("#metacells", 385)}
"""For each picture of the report, what its section holds, and the height in pixels."""
ALONE = """<style>
header, footer, .caption, section:not(:has({part})) {{ display: none }}
main {{ padding-top: 0 }}
h2 {{ margin-top: 1rem }}
</style>"""
CHOOSE = "<script>document.querySelector('#metacells tbody tr:nth-child(2)').click()</script>"


def draw_map(picture: Path) -> None:
    """Cells and metacells, by lab and by type."""
    cells = anndata.read_h5ad(RUN / "cells.h5ad")
    metacells = anndata.read_h5ad(RUN / "metacells.h5ad")
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    for ax, color in zip(figure.subplots(1, 2), ("lab", "cell_type"), strict=True):
        scproto.pl.umap(cells, color, metacells=metacells, ax=ax)
    figure.savefig(picture, dpi=130)


def photograph(chromium: str, part: str, height: int, picture: Path) -> None:
    """Take a picture of one section of the report, with a metacell chosen."""
    html = (RUN / "report.html").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_text(html.replace("</body>", ALONE.format(part=part) + CHOOSE + "</body>"), encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size=1200,{height}"]
        subprocess.run([chromium, *options, f"--screenshot={picture.resolve()}", page.as_uri()], check=True)


draw_map(HERE / "demo.png")
if chromium := shutil.which(sys.argv[1] if len(sys.argv) > 1 else "chromium"):
    for name, (part, height) in VIEWS.items():
        photograph(chromium, part, height, HERE / f"{name}.png")
