"""Promises of `glmd web`; what it serves is in tests/unit/daemon/face/web."""

import json
import subprocess
import sys

import pytest

from tests.unit.daemon.commands.conftest import Site


@pytest.mark.parametrize(
    ("web", "expected"),
    (
        ({}, "ssh -N -L 8470:/run/glmd/web.sock "),
        ({"listen": "/srv/web.sock"}, "ssh -N -L 8470:/srv/web.sock "),
        ({"listen": "127.0.0.1:9000"}, "ssh -N -L 8470:localhost:9000 "),
        ({"listen": "[::1]:9000"}, "ssh -N -L 8470:localhost:9000 "),
    ),
)
def test_how_to_reach_it(site: Site, web: dict[str, object], expected: str) -> None:
    """What to type on a laptop, and what to open then."""
    (site.root.path / "glmd.yaml").write_text(json.dumps({"web": web}))
    done = site.glmd("web", "link")
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith(expected)
    assert second == "then open http://localhost:8470/"


def test_an_address_of_the_settings(site: Site) -> None:
    """Is all there is to be said."""
    (site.root.path / "glmd.yaml").write_text(json.dumps({"web": {"url": "https://npu01.example/glmd"}}))
    assert site.glmd("web", "link").stdout == "https://npu01.example/glmd\n"


def test_where_it_cannot_listen(site: Site) -> None:
    """It says why with the exit code of wrong input."""
    done = site.glmd("web", "--listen", "0.0.0.0:8470")
    assert done.returncode == 2
    assert "127.0.0.1:PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_cannot_be_used(site: Site) -> None:
    """It says which and why, though a child has read them, and with the exit code of wrong input."""
    (site.root.path / "glmd.yaml").write_text(json.dumps({"web": {"language": "fr"}}))
    done = site.glmd("web")
    assert done.returncode == 2
    assert "web.language" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_takes_memory_is_not_loaded(site: Site) -> None:
    """By the process that serves: a child has read the settings, tracebacks are plain, and nothing is copied."""
    program = (
        "import sys\nfrom daemon.commands.web import web\nfrom handlers.errors import BadInputError\n"
        f"try: web(['--root', {str(site.root.path)!r}, '--listen', 'nowhere'])\n"
        "except BadInputError as error: print(error.code)\n"
        "heavy = ('rich', 'attr', 'pydantic_settings', 'numpy', 'simsimd', 'daemon.face.web.process')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["web.listen", "['daemon.face.web.process']"]
