"""What the units let their processes do: all that the work needs, and not what it does not."""

from collections.abc import Iterator

import pytest

from tests.systemd.box import PROBE, Box, probe

pytestmark = pytest.mark.systemd

DAEMON = "glmd.service"
JOB = "glmd-job@0098-1-train.service"
DROP_INS = [f"/run/systemd/system/{unit}.d/probe.conf" for unit in (DAEMON, JOB)]


@pytest.fixture(autouse=True)
def probes(box: Box) -> Iterator[None]:
    """Let both units run a probe instead, and set up what the probes look for."""
    for path in DROP_INS:
        box.write(path, f"[Service]\nType=oneshot\nWatchdogSec=0\n{PROBE}ExecStopPost=\nExecReload=\nRestart=no\n")
    # Devices, as far as a driver's names and modes matter: each is a /dev/null.
    for name in ("davinci_manager", "davinci0", "loop77"):
        box.run("sh", "-c", f"test -e /dev/{name} || mknod --mode=0666 /dev/{name} c 1 {3 if name != 'loop77' else 11}")
    box.run("systemctl", "daemon-reload")
    yield
    box.run("rm", *DROP_INS)
    box.run("systemctl", "daemon-reload")


def test_the_daemon_starts_jobs_from_inside_its_sandbox(box: Box) -> None:
    """The system bus and polkit are within its reach."""
    box.write("/run/systemd/system/glmd-job@0097-1-train.service.d/s.conf", "[Service]\nExecStart=\nExecStart=true\n")
    box.run("systemctl", "daemon-reload")
    probe(
        box,
        DAEMON,
        """
        import subprocess
        subprocess.run(["systemctl", "start", "--no-block", "glmd-job@0097-1-train.service"], check=True)
        assert subprocess.run(["systemctl", "start", "victim.service"], check=False).returncode != 0
        """,
    )


def test_the_daemon_writes_below_its_root_only(box: Box) -> None:
    """Directories it makes belong to the group; /etc and other homes are out of reach."""
    probe(
        box,
        DAEMON,
        """
        import os, pathlib
        from handlers.ckpt.files.durable import make_directory, publish_bytes
        directory = pathlib.Path("/var/glm/jobs/0098-probe/attempts/1")
        make_directory(directory)
        publish_bytes(directory / "f", b"x")
        made = directory.stat()
        assert oct(made.st_mode) == "0o42750", oct(made.st_mode)
        assert made.st_gid == os.getgid()
        for path in ("/etc/x", "/var/lib/x", "/usr/x", "/dev/x"):
            try:
                open(path, "w")
            except OSError:
                continue
            raise AssertionError(path)
        """,
    )


def test_the_daemon_has_the_kernel_interfaces_it_uses(box: Box) -> None:
    """File events, boot id, this host's addresses, a free port, threads, subprocesses, SQLite in WAL mode."""
    probe(
        box,
        DAEMON,
        """
        import os, pathlib, psutil, socket, sqlite3, subprocess, threading
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer
        import daemon.cli, daemon.serve.start_up
        seen = threading.Event()
        class Handler(FileSystemEventHandler):
            def on_any_event(self, event): seen.set()
        observer = Observer(); observer.schedule(Handler(), "/var/glm/latest"); observer.start()
        pathlib.Path("/var/glm/latest/.probe").touch()
        assert seen.wait(10)
        observer.stop(); observer.join()
        assert pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
        assert "lo" in psutil.net_if_addrs()
        with socket.socket() as s: s.bind(("127.0.0.1", 0)); s.listen()
        os.close(os.pidfd_open(os.getpid()))
        base = sqlite3.connect("/var/glm/latest/.probe.db")
        base.execute("PRAGMA journal_mode=WAL"); base.execute("CREATE TABLE IF NOT EXISTS t (a)"); base.close()
        assert os.statvfs("/var/glm").f_bavail
        """,
    )


def test_the_daemon_reaches_the_cards_and_no_other_device(box: Box) -> None:
    """`hccn_tool` opens /dev/davinci_manager; a disk or the kernel's log is nobody's business."""
    probe(
        box,
        DAEMON,
        """
        open("/dev/davinci_manager", "rb")
        try:
            open("/dev/loop77", "rb")
        except PermissionError:
            pass
        else:
            raise AssertionError("a device that is not listed could be opened")
        """,
    )


def test_a_job_has_what_training_needs(box: Box) -> None:
    """Devices, executable pages, locked and shared memory, sockets; no word of the daemon's watchdog."""
    assert box.shows(JOB, "LimitMEMLOCK") == "infinity"  # the box's host may not let it be raised in fact
    probe(
        box,
        JOB,
        """
        import mmap, multiprocessing.shared_memory as shm, os, socket, tempfile
        open("/dev/davinci0", "rb")
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        block = shm.SharedMemory(create=True, size=4096); block.close(); block.unlink()
        os.sched_setaffinity(0, os.sched_getaffinity(0))
        with socket.socket(socket.AF_INET6) as s: s.bind(("::1", 0))
        tempfile.TemporaryFile()
        assert os.getcwd() == "/var/glm" == os.environ["HOME"]
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(os.environ)
        """,
    )


def test_a_job_gains_no_rights(box: Box) -> None:
    """It stays user glm, in its own directory."""
    probe(
        box,
        JOB,
        """
        import os, subprocess
        assert os.getuid() != 0
        assert "NoNewPrivs:\\t1" in open("/proc/self/status").read()
        assert "CapBnd:\\t0000000000000000" in open("/proc/self/status").read()
        for path in ("/etc/x", "/var/lib/x", "/usr/x"):
            try:
                open(path, "w")
            except OSError:
                continue
            raise AssertionError(path)
        """,
    )
