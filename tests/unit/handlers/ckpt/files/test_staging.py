"""Promises of handlers.ckpt.files.staging, as the merge keeps them: a set of files is there whole, or not at all."""

import errno
import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handlers.ckpt import (
    Format,
    NoSpaceError,
    OutputExistsError,
    OutputOptions,
    merge,
    plan_merge,
    read_manifest,
    read_strategy,
    verify,
    walk,
)
from handlers.ckpt.copying import copy as copying
from handlers.ckpt.files.staging import LOCK
from handlers.ckpt.files.transfer import Flusher
from handlers.ckpt.planning.output import FILTERED
from tests.unit.handlers.ckpt.ckpt_writer import Run
from tests.unit.handlers.ckpt.merging import merge_run, names

COLUMNS = "layers.0.dense_4h_to_h.weight"


def merge_and_die(run: Run, destination: Path, step: int, *, force: bool) -> bool:
    """Merge in a child that ends, as by SIGKILL, before durable call `step`; tell whether it came to its end."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    calls = itertools.count()

    def mortal(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if next(calls) == step:
                os._exit(9)
            return function(*arguments, **options)

        return call

    for name in ("fsync", "rename", "fchmod", "link", "unlink"):
        setattr(os, name, mortal(getattr(os, name)))
    merge_run(run, destination, force=force)
    os._exit(0)


@pytest.mark.parametrize("force", (False, True))
def test_killed_anywhere_the_next_run_ends_the_work(run: Run, tmp_path: Path, *, force: bool) -> None:
    """Killed before any durable step, no name ever stands for a part, and the same call again completes."""
    ended, step = False, 0
    while not ended:
        merged = tmp_path / f"merged_{step}"
        merged.mkdir()
        output = merged / FILTERED
        if force:
            output.write_bytes(b"old")
        ended = merge_and_die(run, merged, step, force=force)
        assert not output.exists() or output.read_bytes() in {run.merged(), b"old"}
        manifest = merge_run(run, merged, force=force)
        assert output.read_bytes() == run.merged()
        assert read_manifest(merged / "manifest.json") == manifest
        assert names(merged) == [FILTERED, "manifest.json"]
        step += 1
    assert step > 10


def test_a_living_merge_is_not_swept_away(run: Run, tmp_path: Path) -> None:
    """Of two merges into one place the later one is refused, and no bytes are mixed."""
    shards = {rank: walk(run.shard(rank)) for rank in range(4)}

    def meanwhile(_done: int, _all: int) -> None:
        with pytest.raises(OutputExistsError, match="another merge is going on there"):
            merge_run(run, tmp_path)

    merge(plan_merge(shards, read_strategy(run.strategy)), tmp_path, progress=meanwhile)
    assert (tmp_path / FILTERED).read_bytes() == run.merged()


def test_a_full_disk_is_said_beforehand(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot fit is refused before a byte is written, with the bytes it needs."""
    status = os.statvfs(tmp_path)
    nearly_full = os.statvfs_result((*status[:4], 0, *status[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: nearly_full)
    with pytest.raises(NoSpaceError, match=f"the output needs {len(run.merged())} bytes"):
        merge_run(run, tmp_path)


def test_a_disk_that_fills_up_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC in the middle removes what was written, and the message says how much is needed."""
    (tmp_path / "merged").mkdir()

    def full(_descriptor: int, _view: memoryview, _offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoSpaceError, match=f"No space left on device: the output needs {len(run.merged())} bytes"):
        merge_run(run, tmp_path / "merged")
    assert names(tmp_path / "merged") == []


def test_an_error_of_the_disk_found_by_the_flusher_is_raised(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells a failed write-back once; told to the thread, it still stops the merge."""

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    class PromptFlusher(Flusher):
        """One whose thread has met the error, and ended with it, before the merge goes on."""

        def wrote(self, count: int) -> None:
            super().wrote(count)
            self._thread.join(10)

    monkeypatch.setattr(os, "O_DIRECT", os.O_DIRECTORY)  # refused, so that everything goes through the page cache
    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr("handlers.ckpt.files.transfer.FLUSH_EVERY", 1)
    monkeypatch.setattr(copying, "Flusher", PromptFlusher)
    with pytest.raises(OSError, match="Input/output error"):
        merge_run(run, tmp_path)
    assert not (tmp_path / FILTERED).exists()


def test_killed_anywhere_while_another_format_is_replaced(run: Run, tmp_path: Path) -> None:
    """No manifest ever speaks of files that are gone, and after the next run none of the old set is left."""
    ended, step = False, 0
    while not ended:
        merged = tmp_path / f"merged_{step}"
        merged.mkdir()
        plan = plan_merge({rank: walk(run.shard(rank)) for rank in range(4)}, read_strategy(run.strategy))
        merge(plan, merged, OutputOptions(Format.SAFETENSORS, 600), prefix=run.prefix, tag="31_4")
        ended = merge_and_die(run, merged, step, force=True)
        if (merged / "manifest.json").exists():
            assert verify(merged).ok
        merge_run(run, merged, force=True)
        assert (merged / FILTERED).read_bytes() == run.merged()
        assert names(merged) == [FILTERED, "manifest.json"]
        step += 1
    assert step > 15


@pytest.mark.parametrize("failing", ("link", "fsync"))
@pytest.mark.parametrize("code", (errno.EIO, errno.EDQUOT))
def test_an_error_at_any_step_of_publishing_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, code: int
) -> None:
    """Names that were given are taken back, the error says where, and the same call again succeeds."""
    real = getattr(os, failing)
    for step in itertools.count():
        calls = itertools.count()

        def fails(*arguments: object, step: int = step, calls: Iterator[int] = calls, **options: object) -> object:
            if next(calls) == step:
                raise OSError(code, os.strerror(code))
            return real(*arguments, **options)

        merged = tmp_path / f"merged_{step}"
        merged.mkdir()
        monkeypatch.setattr(os, failing, fails)
        raised: Exception | None = None
        try:
            merge_run(run, merged)
        except (NoSpaceError, OSError) as error:
            raised = error
        monkeypatch.setattr(os, failing, real)
        if raised is None:
            break
        assert failing == "link" or str(merged) in str(raised)
        assert names(merged) == []
        merge_run(run, merged)
        assert names(merged) == [FILTERED, "manifest.json"]
    assert step > 1


def test_an_error_while_replacing_is_gone_on_from(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes way cannot come back: the new set stays prepared, and the same call without force ends the work."""
    (tmp_path / "merged").mkdir()
    plan = plan_merge({rank: walk(run.shard(rank)) for rank in range(4)}, read_strategy(run.strategy))
    merge(plan, tmp_path / "merged", OutputOptions(Format.SAFETENSORS), prefix=run.prefix, tag="31_4")
    rename = os.rename

    def broken(source: Path, target: Path) -> None:
        if Path(target).name == FILTERED:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(source), None, str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", broken)
    with pytest.raises(OSError, match=FILTERED):
        merge_run(run, tmp_path / "merged", force=True)
    monkeypatch.undo()
    merge_run(run, tmp_path / "merged")
    assert names(tmp_path / "merged") == [FILTERED, "manifest.json"]


def test_a_disk_that_keeps_the_hidden_directory_does_not_keep_the_lock(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merge is done; the next one, of the same process, finds the place free."""
    monkeypatch.setattr(os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
    merge_run(run, tmp_path)
    monkeypatch.undo()
    merge_run(run, tmp_path)
    assert not (tmp_path / ".merging").exists()


@pytest.mark.parametrize("name", (FILTERED, "manifest.json"))
def test_a_directory_in_the_way_is_refused_before_anything_is_replaced(run: Run, tmp_path: Path, name: str) -> None:
    """Not even force removes it."""
    (tmp_path / "merged" / name / "precious").mkdir(parents=True)
    with pytest.raises(OutputExistsError, match=f"{name} is a directory"):
        merge_run(run, tmp_path / "merged", force=True)
    assert names(tmp_path / "merged" / name) == ["precious"]


def test_an_output_without_its_index_is_not_taken_for_done(run: Run, tmp_path: Path) -> None:
    """Loaders go by it."""
    plan = plan_merge({rank: walk(run.shard(rank)) for rank in range(4)}, read_strategy(run.strategy))
    options = OutputOptions(Format.SAFETENSORS, 600)
    merge(plan, tmp_path, options)
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(OutputExistsError, match="not of these shards"):
        merge(plan, tmp_path, options)
    merge(plan, tmp_path, options, force=True)
    assert verify(tmp_path).ok


def test_a_server_that_locks_no_directories_is_enough(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS makes a lock of its own of it, for which a file has to be open for writing: man 2 flock."""
    (tmp_path / "merged").mkdir()
    flock = fcntl.flock

    def of_nfs(descriptor: int, operation: int) -> None:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and mode == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    merge_run(run, tmp_path / "merged")
    assert names(tmp_path / "merged") == [FILTERED, "manifest.json"]


def test_a_server_that_keeps_open_files_does_not_keep_the_hidden_directory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An NFS client renames a file that is removed while it is open, until it is closed."""
    (tmp_path / "merged").mkdir()
    unlink, kept = os.unlink, tmp_path / "merged" / ".merging" / ".nfs0001"

    def unlinked(path: str, *, dir_fd: int | None = None) -> None:
        unlink(path, dir_fd=dir_fd)
        if Path(path).name == LOCK:
            kept.touch()

    def closed(descriptor: int) -> None:
        is_lock = Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(LOCK)
        close(descriptor)
        if is_lock:
            kept.unlink(missing_ok=True)

    close = os.close
    monkeypatch.setattr(os, "unlink", unlinked)
    monkeypatch.setattr("handlers.ckpt.files.staging.os.close", closed)
    merge_run(run, tmp_path / "merged")
    monkeypatch.undo()
    assert names(tmp_path / "merged") == [FILTERED, "manifest.json"]


def test_what_a_link_leads_to_is_left_alone(run: Run, tmp_path: Path) -> None:
    """In the hidden directory's place: whatever lies in that is removed."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / ".merging").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="Not a directory"):
        merge_run(run, tmp_path / "merged")
    assert names(tmp_path / "precious") == ["file"]
