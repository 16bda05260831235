"""Promises of `glmd metrics`; what it tells is in tests/unit/daemon/face/metrics."""

import json
import stat
import subprocess
import sys
from pathlib import Path

from tests.unit.daemon.commands.conftest import Site
from tests.unit.daemon.commands.trained import DONE
from tests.unit.daemon.face.metrics.scene import of, parsed

HEAVY = ("pydantic", "ruamel", "typer", "apscheduler", "numpy", "structlog", "starlette", "prometheus_client")


def test_it_prints_samples(site: Site) -> None:
    """With the daemon down."""
    site.add("a", *DONE)
    done = site.glmd("metrics")
    assert (done.returncode, done.stderr) == (0, "")
    values = parsed(done.stdout.encode())
    assert of(values, "jobs", state="done") == 1
    assert of(values, "up") == 0


def test_a_textfile_is_there_whole(site: Site, tmp_path: Path) -> None:
    """For everybody to read, in place of the one before, and nothing lies beside it."""
    directory = tmp_path / "textfiles"
    directory.mkdir()
    path = directory / "glmd.prom"
    path.write_text("half a samp")
    assert site.glmd("metrics", "--textfile", path).stdout == ""
    assert of(parsed(path.read_bytes()), "jobs", state="done") == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [each.name for each in directory.iterdir()] == ["glmd.prom"]


def test_the_settings_say_where(site: Site, tmp_path: Path) -> None:
    """`--textfile` alone writes there; where they do not say, that is told with what to do."""
    done = site.glmd("metrics", "--textfile")
    assert done.returncode == 2
    assert "[metrics.no-textfile]" in done.stderr
    path = tmp_path / "glmd.prom"
    (site.root.path / "glmd.yaml").write_text(json.dumps({"metrics": {"textfile": str(path)}}))
    assert site.glmd("metrics", "--textfile").returncode == 0
    assert b"glmd_up 0" in path.read_bytes()


def test_a_textfile_that_node_exporter_would_not_read(site: Site) -> None:
    """Is refused where it is written."""
    for textfile in ("/var/lib/node_exporter/glmd.txt", "glmd.prom"):
        (site.root.path / "glmd.yaml").write_text(json.dumps({"metrics": {"textfile": textfile}}))
        done = site.glmd("metrics", "--textfile")
        assert done.returncode == 2
        assert "metrics" in done.stderr
        assert "textfile" in done.stderr


def test_what_cannot_be_told_is_said(site: Site) -> None:
    """On standard error; the rest is printed, and the exit code is 0: whoever reads it finds it in the samples."""
    site.root.store.write_bytes(b"no database" * 1000)
    done = site.glmd("metrics")
    assert done.returncode == 0
    assert "glmd: no samples of store: " in done.stderr
    assert of(parsed(done.stdout.encode()), "collector_success", collector="store") == 0


def test_it_loads_nothing_that_takes_long() -> None:
    """A timer runs it all the time; benchmarks/metrics.py has the figure."""
    code = f"import daemon.commands.metrics, sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
