# ruff: noqa: INP001 - Sphinx reads it; no package
"""How `make docs` makes pages of the texts in docs/, and of those beside it. The texts stay plain Markdown.

Their order is that of docs/index.md, docs/adr/README.md and docs/zh/index.md: what these list is the navigation, and
a page that none of them lists is an error. The Chinese index also lists English pages, which keep their English place.
"""

import re
from collections.abc import Callable
from typing import Protocol

project = "glmd"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "glmd"
root_doc = "docs/index"
include_patterns = ["docs/**.md", "*.md"]
exclude_patterns = [".*", "build", "dist", "tests", "benchmarks", "daemon", "handlers", "monitoring", "systemd"]
highlight_language = "none"  # blocks that name no language are commands and what they print, mixed
html_copy_source = False
html_show_copyright = False
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 6  # each heading can be linked to, by the name that GitHub gives it
suppress_warnings = ["misc.highlighting_failure"]  # examples leave out what does not matter, by …


LISTS = {"docs/index": r"[^)#]+", "docs/adr/README": r"[^)#]+", "docs/zh/index": r"(?:\.\./\.\./README\.zh-CN|[\w-]+)"}
"""The pages that list others, and which of the pages in their lists belong below them."""


class _Sphinx(Protocol):
    def connect(self, event: str, callback: Callable[["_Sphinx", str, list[str]], None]) -> int: ...


def _fill_in(app: _Sphinx, page: str, source: list[str]) -> None:
    """Give a list of pages its navigation; a link to a directory leads to its README.md, as on GitHub."""
    del app
    source[0] = re.sub(r"\]\(((?:[\w.-]+/)+)\)", r"](\1README.md)", source[0])
    if page in LISTS:
        source[0] = "\n## ".join(_with_toctree(part, LISTS[page]) for part in source[0].split("\n## "))


def _with_toctree(part: str, belongs: str) -> str:
    pages = re.findall(rf"^[-*] \[[^\]]*\]\(({belongs})\.md\)", part, re.MULTILINE)
    title = part.partition("\n")[0].lstrip("# ")
    lines = ["", "```{toctree}", ":hidden:", ":maxdepth: 1", f":caption: {title}", "", *pages, "```", ""]
    return part + "\n".join(lines) if pages else part


def setup(app: _Sphinx) -> None:
    """Sphinx calls it."""
    app.connect("source-read", _fill_in)
