"""Job directories of an older glmd are closed to the group's writing, wherever an earlier start was cut short."""

import os
import stat
from pathlib import Path

import pytest
import structlog

from daemon.core.root import Root
from daemon.serve.old_roots import bring_over


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root with a job of before, one of now, and one that its owner has closed."""
    root = Root(tmp_path / "root")
    root.create()
    train = root.jobs / "0001-old" / "attempts" / "1" / "train"
    train.mkdir(parents=True)
    plan, record, lock = root.jobs / "0001-old" / "plan.json", train / "exit.json", train / "lock"
    plan.write_text('{"environment": {"TOKEN": "secret"}}')
    record.write_text("{}")
    lock.touch()
    (train / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("somebody's own")
    for path in (plan, record, lock, tmp_path / "elsewhere"):
        path.chmod(0o660)
    for path in (train, *train.parents[:3]):
        path.chmod(0o2770)
    for name, mode in (("0002-new", 0o2750), ("0003-closed", 0o700)):
        (root.jobs / name).mkdir()
        (root.jobs / name).chmod(mode)
    return root


def modes(root: Root) -> dict[str, int]:
    """Return the mode of everything in jobs/."""
    paths = (path for path in root.jobs.rglob("*") if not path.is_symlink())
    return {str(path.relative_to(root.jobs)): stat.S_IMODE(path.stat().st_mode) for path in paths}


BROUGHT_OVER = {
    "0001-old": 0o2750,
    "0001-old/plan.json": 0o600,
    "0001-old/attempts": 0o2750,
    "0001-old/attempts/1": 0o2750,
    "0001-old/attempts/1/train": 0o2750,
    "0001-old/attempts/1/train/exit.json": 0o640,
    "0001-old/attempts/1/train/lock": 0o600,
    "0002-new": 0o2750,
    "0003-closed": 0o700,
}


def test_the_group_may_only_read_what_is_in_them(root: Root, tmp_path: Path) -> None:
    """Not even that where a plan has environments. A link is not followed."""
    bring_over(root)
    assert modes(root) == BROUGHT_OVER
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o660


@pytest.mark.parametrize("done", range(8))
def test_a_start_that_was_cut_short_is_gone_on_with(root: Root, monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    """At whichever change of a mode."""
    change, left = os.chmod, iter(range(done))

    def limited(path: Path, mode: int, **how: bool) -> None:
        if next(left, None) is None:
            raise ZeroDivisionError
        change(path, mode, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", limited)
        with pytest.raises(ZeroDivisionError):
            bring_over(root)
    bring_over(root)
    assert modes(root) == BROUGHT_OVER


@pytest.mark.root
def test_a_file_of_somebody_else_is_told(root: Root) -> None:
    """Its mode is not glmd's to change; the rest is brought over."""
    path = root.jobs / "0001-old" / "planted.json"
    path.touch()
    path.chmod(0o660)
    os.chown(path, 12345, -1)
    with structlog.testing.capture_logs() as logs:
        bring_over(root)
    assert "foreign_record" in [log["event"] for log in logs]
    assert {name: mode for name, mode in modes(root).items() if "planted" not in name} == BROUGHT_OVER


def test_nothing_is_done_twice(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later start costs one look at each job."""
    bring_over(root)
    monkeypatch.setattr(os, "walk", lambda *_: pytest.fail("looked into"))
    bring_over(root)
