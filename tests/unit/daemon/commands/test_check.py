"""Promises of `glmd check`."""

from pathlib import Path

from tests.unit.daemon.commands.conftest import Site


def test_a_good_file_is_told_what_would_run(site: Site, good_yaml: Path) -> None:
    """Devices, run mode, prefix and tag, on one line; warnings beside it; nothing is dropped."""
    done = site.glmd("check", good_yaml)
    assert done.returncode == 0
    assert done.stdout == f"{good_yaml}: good: finetune on CPU devices [0,2), prefix glm-6b, tag last\n"
    assert f"warning: {good_yaml}:" in done.stderr
    assert not list(site.root.inbox.iterdir())


def test_all_problems_come_at_once_each_with_its_place(site: Site, good_yaml: Path) -> None:
    """FILE:LINE:COL at the line's start, the excerpt below, exit code 2."""
    text = good_yaml.read_text()
    good_yaml.write_text(
        text.replace("model_parallel: 2", "model_parallel: 3").replace("num_heads: 2", "num_heads: two")
    )
    done = site.glmd("check", good_yaml)
    assert done.returncode == 2
    places = [line for line in done.stderr.splitlines() if line.startswith(f"{good_yaml}:")]
    assert any("model_parallel" in line for line in places)
    assert any("num_heads" in line for line in places)
    assert not done.stdout


def test_the_settings_count(site: Site, good_yaml: Path) -> None:
    """Devices that the settings do not list are a problem."""
    (site.root.path / "glmd.yaml").write_text('devices: "[4,8)"\n')
    done = site.glmd("check", good_yaml)
    assert done.returncode == 2
    assert "not among this host's devices" in done.stderr


def test_what_is_no_file_or_too_large_is_bad_input(site: Site, tmp_path: Path) -> None:
    """Exit code 2, without reading it whole."""
    large = tmp_path / "large.yaml"
    with large.open("wb") as stream:
        stream.truncate(1 << 40)
    for path in (tmp_path / "none.yaml", tmp_path, Path("/dev/zero"), large):
        done = site.glmd("check", path)
        assert done.returncode == 2
        assert str(path) in done.stderr
        assert "Traceback" not in done.stderr
