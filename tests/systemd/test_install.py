"""`make install` lays out a tree that works where it will stand."""

from pathlib import Path

import pytest

from tests.systemd.box import PREFIX, Box, install

pytestmark = pytest.mark.systemd


def test_everything_has_its_place(installed: Path) -> None:
    """What the docs name is where the docs say."""
    for path in (
        "opt/glmd/bin/glmd",
        "usr/lib/systemd/system/glmd.service",
        "usr/lib/systemd/system/glmd-job@.service",
        "usr/lib/systemd/system/glmd-notify.service",
        "usr/lib/systemd/system/glmd-web.socket",
        "usr/lib/systemd/system/glmd-web.service",
        "usr/lib/systemd/system/glmd-metrics.timer",
        "usr/lib/systemd/system/glmd-metrics.service",
        "opt/glmd/share/doc/glmd/README.zh-CN.md",
        "opt/glmd/share/doc/glmd/zh/install.md",
        "opt/glmd/share/glmd/monitoring/alerts.yml",
        "opt/glmd/share/glmd/monitoring/grafana-dashboard.json",
        "opt/glmd/share/glmd/monitoring/scrape.yml",
        "usr/lib/sysusers.d/glmd.conf",
        "usr/lib/tmpfiles.d/glmd.conf",
        "usr/share/polkit-1/rules.d/50-glmd.rules",
        "etc/glmd/glmd.yaml",
    ):
        assert (installed / path).exists(), path
    for unit in (
        "glmd.service",
        "glmd-job@.service",
        "glmd-notify.service",
        "glmd-web.socket",
        "glmd-web.service",
        "glmd-metrics.timer",
        "glmd-metrics.service",
    ):
        assert "@PREFIX@" not in (installed / "usr/lib/systemd/system" / unit).read_text()


def test_credentials_are_roots_alone(box: Box) -> None:
    """There is a place for them, where nobody else looks in."""
    assert box.say("stat", "--format=%U:%G %a", "/etc/glmd/credentials") == "root:root 700"


def test_the_administrators_settings_survive_an_upgrade(installed: Path) -> None:
    """A second `make install` replaces the program, not the settings."""
    settings = installed / "etc/glmd/glmd.yaml"
    settings.write_text(settings.read_text() + "# mine\n")
    install(installed)
    assert settings.read_text().endswith("# mine\n")


def test_glmd_runs_from_its_final_place(box: Box) -> None:
    """No path in it points to the DESTDIR it was built in, and any user may run it."""
    assert "glmd" in box.say(f"{PREFIX}/bin/glmd", "--help", user="bob")
    prefix = box.say(f"{PREFIX}/lib/glmd/venv/bin/python", "-I", "-c", "import handlers; print(handlers.__file__)")
    assert prefix.startswith(f"{PREFIX}/lib/glmd/venv/")


def test_user_and_directories_are_made(box: Box) -> None:
    """User glm cannot log in; its group drops and reads; nobody else looks in."""
    assert box.say("getent", "passwd", "glm").endswith(":/var/glm:/usr/sbin/nologin")
    for directory in ("/var/glm", "/var/glm/claims", "/var/glm/rejected", "/var/glm/jobs", "/var/glm/latest"):
        assert box.say("stat", "--format=%U:%G %a", directory) == "glm:glm 2750"
    assert box.say("stat", "--format=%U:%G %a", "/var/glm/inbox") == "glm:glm 3770"
    assert box.run("ls", "/var/glm/inbox", user="bob", check=False).returncode != 0


def test_a_file_dropped_by_another_user_belongs_to_the_group(box: Box) -> None:
    """Setgid: glmd may read what alice drops, and alice what glmd writes."""
    box.run("sh", "-c", "umask 0027; echo x > /var/glm/inbox/.by-alice", user="alice")
    assert box.say("stat", "--format=%U:%G %a", "/var/glm/inbox/.by-alice") == "alice:glm 640"
    assert box.say("cat", "/var/glm/inbox/.by-alice", user="glm") == "x"
    assert box.run("touch", "/var/glm/inbox/.by-bob", user="bob", check=False).returncode != 0
