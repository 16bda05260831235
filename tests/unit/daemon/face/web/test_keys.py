"""Promises of the keys: each that the script knows is told on the page of help, and no other."""

import re
from pathlib import Path

from daemon.face.web import app
from daemon.face.web.views.manual import _KEYS

SCRIPT = Path(app.__file__).parent / "static" / "app.js"
OF_THE_BROWSER = {"Enter"}


def test_the_help_has_the_keys_of_the_script() -> None:
    """Those of the design: rows, tabs, search, log, command, choosing, theme, help."""
    actions = re.search(r"const actions = \{(.*?)\n    \};", SCRIPT.read_text("utf-8"), re.DOTALL)
    assert actions is not None
    typed = set(re.findall(r'(?:^|[\s,])"?([a-z]{1,2}|[/?])"?: (?:\(\)|toggle)', actions[1]))
    assert typed == {key.replace(" ", "") for key in _KEYS} - OF_THE_BROWSER
    assert typed == {"gn", "gm", "gj", "gd", "j", "k", "x", "/", "l", "c", "t", "?"}
