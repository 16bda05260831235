"""Files of others are as they were published, ours ask nobody else, and each is asked for once."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import daemon.face.web
from daemon.face.web.static_files import StaticFiles
from tests.unit.daemon.face.web.visitor import Visitor

WEB = Path(daemon.face.web.__file__).parent
VENDOR = WEB / "static" / "vendor"
OURS = [
    path
    for path in sorted(WEB.rglob("*"))
    if path.suffix in {".css", ".js", ".svg", ".html"} and VENDOR not in path.parents
]


def test_files_of_others_are_those_that_were_published() -> None:
    """By their hashes, with licence and version; and there is no other."""
    listed = json.loads((VENDOR / "vendor.json").read_text())
    files = {name: digest for package in listed for name, digest in package["files"].items()}
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    del there["vendor.json"]
    assert there == files
    for package in listed:
        assert {"name", "version", "license", "integrity", "files"} == set(package)
        assert any(name.startswith("LICENSE") for name in package["files"])


def test_nothing_asks_another_host() -> None:
    """No address of one in what we send to browsers, but for the name of SVG's language."""
    assert len(OURS) > 8
    for path in (*OURS, *VENDOR.glob("*.js"), *VENDOR.glob("*.css")):
        found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[\w./-]*", path.read_text()))
        assert found <= {"http://www.w3.org/2000/svg", "https://github.com/leeoniya/uPlot"}, path


def test_our_scripts_write_no_markup() -> None:
    """And run no text: what lines of a log say stays text."""
    for path in OURS:
        text = path.read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "| safe",
        ):
            assert word not in text, path
        assert not re.search(r"\son\w+=", text), path
        assert " style=" not in text, path


def test_each_has_its_content_in_its_address(visitor: Visitor) -> None:
    """And is there at that one alone, packed as it is unpacked."""
    files = StaticFiles()
    for name in ("app.css", "app.js", "charts.js", "icon.svg", "uPlot.iife.min.js", "uPlot.min.css"):
        path = files.path(name)
        plain, packed = visitor.get(path, accept_encoding="identity"), visitor.get(path, accept_encoding="gzip")
        assert plain.content == packed.content
        assert packed.headers["content-encoding"] == "gzip"
        assert hashlib.sha256(plain.content).hexdigest()[:12] == path.split("/")[2]
        found = files.at(path)
        assert found is not None
        assert gzip.decompress(found.zipped) == plain.content
    for wrong in ("/static/000000000000/app.css", "/static/app.css", "/static/vendor.json", "/static/x/../app.css"):
        assert visitor.get(wrong).status_code == 404
