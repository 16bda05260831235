"""A fuzzer of the running daemon: whatever lies where it looks, it goes on, and sets aside only what is bad.

The suite runs it for some seconds (tests/acceptance/test_poison.py). By hand, for as long as wanted:

    PYTHONPATH=. nice .venv/bin/python tests/fuzz/fuzz_daemon.py --seconds 600 --seed 7

It drops files with absurd values in every key and under odd names, spoils records of jobs that wait, train and are
over, writes into a watched tree, asks for absurd things, lets absurd settings be read, and spoils rows of the store.
The promises: the daemon does not end, it answers within a second, it meets no defect of its own, and each dropped file
is a job or rejected in the end. What was done is in the printed directory, `data/acts`, the last act last.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.acceptance.house import CONFIG, House
from tests.faults.test_hostile_yaml import NASTY, SECTION, WITHIN

LONGEST_STALL = 1.0
"""Seconds until an answer, but for those in which the machine let neither the daemon nor the fuzzer run."""
MOST_JOBS = 12
"""That are made; each takes a second of CPU. Later drops are for devices that are not there."""
PAUSE = 0.02
"""Seconds between two acts."""

NUMBERS = (0, -1, 1 << 31, 1 << 32, 1 << 53, 1 << 63, -(1 << 63) - 1, 1 << 64, 10**90, 1e308, -1e308, 1e-320)
VALUES: tuple[object, ...] = (*NUMBERS, True, None, "", "x", "\0", "../../x", "/", "a" * 5000, "9" * 400, [], {}, [[]],
                              "\ud800", "\n", "2026-01-01T00:00:00", "1_1", "99999999999999999999_1")  # fmt: skip
YAML_VALUES = (*NASTY, "0x" + "f" * 6000, *(str(number) for number in NUMBERS), "1_4", "'[0,8)'", "2026-13-45")
NAMES = (b"x.yaml", b"\xff\xfe.yaml", b"a\nb.yaml", b"-rf.yaml", b"..yaml", b"\x1b[2J.yaml", b"n" * 250 + b".yaml",
         "微调.yaml".encode(), b"x", b"x.yaml.reason.txt", b"night-20261124T013000Z.yaml")  # fmt: skip
CONTENTS = (b"", b"{", b"null", b"[]", b"[" * 100_000, b"\xff\xfe", b'{"pid": 1}', b"9" * 5000, b"\0" * 4096)
RECORDS = ("shim.json", "exit.json", "plan.json", "environment.json", "resume.json", "rank_table.json", "manifest.json",
           "submitted.yaml", "config.yaml", "events.jsonl", "service.json", "mindformer.log", "shim.log")  # fmt: skip
STEP_LINE = b"{ Epoch:[%s/%s], step:[%s/%s], loss:[%s/1.0], per_step_time: %sms }\n"
COLUMNS = {
    "attempt": ("0", "-1", "1 << 62"),
    "priority": ("1 << 62", "-(1 << 62)"),
    "devices": ("'['", "'[\"x\"]'", "'[1180591620717411303424]'", "'{}'"),
    "state": ("'nowhere'", "CAST(x'ff' AS TEXT)"),
    "submitted": ("'yesterday'", "'9999-12-31T23:59:59+00:00'", "''"),
    "changed": ("'2026-01-01T00:00:00'",),
    "name": ("'../../x'", "''", "'a' || char(0)"),
    "reason": ("CAST(x'ff1b5b324a' AS TEXT)", "hex(zeroblob(100000))"),
    "digest": ("''",),
}
SPOILED: dict[str, Callable[[Path], object]] = {
    "a directory": Path.mkdir,
    "a FIFO": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "a circle": lambda path: path.symlink_to(path.name),
    "huge": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    "gone": lambda path: path.unlink(missing_ok=True),
}
SETTINGS = ("root", "devices", "runner", "preflight", "cancel", "allowed_paths", "inbox", "inbox.settle",
            "inbox.rescan", "inbox.max_bytes", "inbox.observer", "training", "training.python", "training.checkout",
            "training.grace", "training.environment", "training.mindformers", "rank_table.server_ip",
            "rank_table.hccn_tool", "watch", "rank_table.hccn_conf", "rank_table.topology", "nightly",
            "log", "log.level", "more")  # fmt: skip


class Fuzz:
    """What is done to the daemon of a house, by chance; the same again for the same seed."""

    def __init__(self, house: House, seed: int, longest_stall: float = LONGEST_STALL) -> None:
        self.longest_stall = longest_stall
        self.house, self.root = house, house.root
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.longest = 0.0
        self.acts: dict[str, int] = {}
        self.dropped = 0
        self._log = (house.data / "acts").open("w", buffering=1)
        self._stop = threading.Event()
        self._tree = house.data / "tree"
        self._template = house.data / "night.yaml"
        self._tree.mkdir()
        self._template.write_text(CONFIG.format(data=house.data, devices="[8,9)"))
        house.settings["watch"] = [{"path": str(self._tree), "quiet": 0.1}]
        house.settings["nightly"] = [{"name": "night", "cron": "* * * * *", "template": str(self._template)}]
        house.environment(STANDIN_PAUSE="0.02")

    def run(self, seconds: float) -> None:
        """Do it for so long; raises AssertionError where a promise is broken."""
        acts: tuple[Callable[[], str], ...] = (
            *(self._drop, self._drop, self._drop, self._spoil_record, self._spoil_record, self._ask, self._ask),
            *(self._read_settings, self._spoil_row, self._write_shard, self._spoil_night),
        )
        watch = threading.Thread(target=self._measure)
        watch.start()
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                act = self.chance.choice(acts)
                done = act()
                self.acts[act.__name__] = self.acts.get(act.__name__, 0) + 1
                self._log.write(f"{time.time():.3f} {act.__name__} {done:.300}\n")
                self.look()
                time.sleep(PAUSE)
            self._settle()
        finally:
            self._stop.set()
            watch.join()
            self._log.close()
        self.look()

    def look(self) -> None:
        """Look at the promises."""
        log = self.house.log.read_text(errors="replace")
        assert self.house.is_up, log[-5000:]
        bad = [line for line in log.splitlines() if "glmd.defect" in line or "Traceback" in line]
        assert not bad, bad[0].replace("\\n", "\n")
        assert self.longest < self.longest_stall, f"no answer for {self.longest:.2f} s"
        assert psutil.Process(self.house.pid).memory_info().rss < 400_000_000

    # What is done

    def _drop(self) -> str:
        self.dropped += 1
        devices = "[0,2)" if len(list((self.root / "jobs").iterdir())) < MOST_JOBS else "[8,9)"
        text = absurd(self.chance, CONFIG.format(data=self.house.data, devices=devices))
        name = b"%04d-" % self.dropped + self.chance.choice(NAMES)
        path = os.fsencode(self.root / "inbox") + b"/" + name[:250]
        match self.chance.randint(0, 11):
            case 0:
                os.mkfifo(path)
            case 1:
                os.symlink(self.chance.choice((b"/dev/zero", path, b"/nowhere")), path)  # noqa: PTH211 - bytes
            case 2:
                os.makedirs(path + b"/within")  # noqa: PTH103 - bytes
            case 3:
                Path(os.fsdecode(path)).write_bytes(self.chance.choice(CONTENTS))
            case _:
                Path(os.fsdecode(path)).write_bytes(f"# {self.dropped}\n{text}".encode("utf-8", "surrogatepass"))
        return f"{name!r} {text.splitlines()}"

    def _spoil_record(self) -> str:
        jobs = sorted((self.root / "jobs").iterdir())
        if not jobs:
            return ""
        job = self.chance.choice(jobs)
        there = [path for path in sorted(job.rglob("*")) if path.name in RECORDS]
        steps = [*job.glob("attempts/*/train"), *job.glob("attempts/*/merge"), job]
        path = self.chance.choice([*there, self.chance.choice(steps) / self.chance.choice(RECORDS)])
        if not path.parent.is_dir() or path.name == "lock":
            return ""
        with contextlib.suppress(OSError):
            return f"{path} {self._spoil(path)}"
        return ""

    def _spoil(self, path: Path) -> str:
        content = b"{}"
        if path.is_file():
            with path.open("rb") as stream:
                content = stream.read(1 << 20)
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        how = self.chance.choice((*SPOILED, "rubbish", "steps", "changed", "changed", "changed"))
        if how in SPOILED:
            SPOILED[how](path)
        elif how == "rubbish":
            path.write_bytes(self.chance.choice(CONTENTS))
        elif how == "steps":
            path.write_bytes(STEP_LINE % tuple(str(self.chance.choice(NUMBERS)).encode() for _ in range(6)))
        else:
            path.write_bytes(self._changed(content))
            how += f" {path.read_bytes()[:200]!r}"
        return how

    def _changed(self, content: bytes) -> bytes:
        """Return a record with one value in it exchanged for an absurd one."""
        try:
            record = json.loads(content)
        except (ValueError, RecursionError):
            return content[: self.chance.randrange(len(content) + 1)]
        within = record
        while isinstance(within, dict | list) and within:
            key = self.chance.choice(sorted(within) if isinstance(within, dict) else range(len(within)))
            if not isinstance(within[key], dict | list) or not within[key] or self.chance.random() < 0.2:
                within[key] = self.chance.choice(VALUES)
                break
            within = within[key]
        return json.dumps(record).encode()

    def _ask(self) -> str:
        action = self.chance.choice(("cancel", "retry", "ping", "x" * 60_000, "", "\ud800", *VALUES))
        packet = self.chance.choice(
            (json.dumps({"action": action, "job": self.chance.choice((*VALUES, 1, 2, 3))}).encode(), *CONTENTS)
        )
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.setblocking(False)
            client.connect(str(self.root / "glmd.sock"))
            if self.chance.random() < 0.8:  # else it says nothing
                client.send(packet[:60_000])
            if self.chance.random() < 0.5:
                client.settimeout(0.1)
                client.recv(1 << 16)
        return repr(packet[:200])

    def _read_settings(self) -> str:
        settings = json.loads(json.dumps(self.house.settings))
        path = self.chance.choice(SETTINGS).split(".")
        within = settings
        for key in path[:-1]:
            within = within.setdefault(key, {})
        within[path[-1]] = "@@"
        value = self.chance.choice((*YAML_VALUES, *(json.dumps(value) for value in VALUES)))
        text = json.dumps(settings).replace('"@@"', value)
        for written in (text, json.dumps(self.house.settings)):
            (self.root / "glmd.yaml").write_text(written, errors="surrogatepass")
            if self.chance.random() < 0.5:
                self.house.send(signal.SIGHUP)
            else:
                self._request({"action": "reload", "job": None})
        return f"{path} {value}"

    def _request(self, request: dict[str, object]) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(2)
            client.connect(str(self.root / "glmd.sock"))
            client.send(json.dumps(request).encode())
            client.recv(1 << 16)

    def _spoil_row(self) -> str:
        column = self.chance.choice(sorted(COLUMNS))
        value = self.chance.choice(COLUMNS[column])
        over = "('failed', 'cancelled', 'rejected', 'done', 'queued')"
        statement = f"UPDATE jobs SET {column} = {value} WHERE state IN {over} AND id % 5 = {self.chance.randrange(5)}"  # noqa: S608
        self._write_store(statement)
        return statement

    def _spoil_night(self) -> str:
        due = self.chance.choice(("yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+00:00",
                                  "9999-12-31T23:59:59+14:00", "2026-11-20T01:00:00+00:00"))  # fmt: skip
        cron = self.chance.choice(("* * * * *", "", "x", "0 0 30 2 *", "9" * 400))
        self._write_store("INSERT OR REPLACE INTO nightly (name, due, cron) VALUES ('night', ?, ?)", due, cron)
        return f"{due} {cron}"

    def _write_store(self, statement: str, *values: object) -> None:
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(self.root / "glmd.db", timeout=1)) as store,
            store,
        ):
            store.execute(statement, values)

    def _write_shard(self) -> str:
        rank = self.chance.choice(("0", "1", "999999", "-1", "x", "0000000001"))
        tag = self.chance.choice(("1_4", "999999999_999999999", "network", "0_0", "9999999999_1", "x"))
        path = self._tree / "checkpoint" / f"rank_{rank}" / f"glm-6b_rank_{rank}-{tag}.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            done = self._spoil(path)
            if path.is_file():
                path.chmod(0o400)
            return f"{path} {done}"
        return ""

    # The promises

    def _measure(self) -> None:
        """Ask again and again, and note the longest time until an answer."""
        pid = self.house.pid
        while not self._stop.wait(0.05):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.settimeout(30)
                client.connect(str(self.root / "glmd.sock"))
                began, kept = time.monotonic(), _kept_from_running(pid)
                client.send(b'{"action": "ping", "job": null}')
                client.recv(1 << 16)
                took = time.monotonic() - began
                self.longest = max(self.longest, took - (_kept_from_running(pid) - kept))

    def _settle(self) -> None:
        """Wait until every drop is a job, rejected, or left where it cannot be moved."""
        (self.root / "glmd.yaml").write_text(json.dumps(self.house.settings))
        self._request({"action": "reload", "job": None})
        self.house.wait(lambda: not any((self.root / "claims").iterdir()) and not self._waiting(), "all to be taken")

    def _waiting(self) -> list[str]:
        return [name for name in os.listdir(self.root / "inbox") if re.match(r"\d{4}-", name)]  # noqa: PTH208 - odd names

    def close(self) -> None:
        """End all that was started, whatever has become of its records."""
        if self.house.is_up:
            self.house.stop(signal.SIGKILL)
        mine = str(self.house.data.parent).encode()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                words = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                if mine in words and process.pid != os.getpid() and b"fuzz_daemon" not in words:
                    process.kill()


def absurd(chance: random.Random, config: str) -> str:
    """Return `config` with absurd values for some of its keys, and for some of `glmd:`, with which it ends."""
    lines = config.splitlines()
    for _ in range(chance.randint(0, 3)):
        value = chance.choice(YAML_VALUES)
        if chance.random() < 0.5:
            key = chance.choice(SECTION[1:])
            inner = f"{{{chance.choice(WITHIN[key])}: {value}}}" if key in WITHIN else value
            lines.append(f"  {key}: {inner}")
        else:
            at = chance.randrange(len(lines))
            lines[at] = f"{lines[at].partition(':')[0]}: {value}"
    return "\n".join(lines)


def _kept_from_running(pid: int) -> float:
    """Return for how many seconds, so far, the daemon's threads and this one were ready and had no CPU (proc(5)).

    All of them: the loop waits as well for a thread that has the interpreter's lock and no CPU.
    """
    waits = 0.0
    for task in ("/proc/thread-self/schedstat", *Path(f"/proc/{pid}/task").glob("*/schedstat")):
        with contextlib.suppress(OSError):
            waits += int(Path(task).read_bytes().split()[1]) / 1e9
    return waits


def in_memory() -> Path | None:
    """Return where files cost no waiting for a busy disk, if there is such a place: that is no stall of glmd's."""
    place = Path("/dev/shm")  # noqa: S108 - a temporary directory is made there
    return place if os.access(place, os.W_OK) else None


def main() -> None:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=in_memory(), prefix="glmd-fuzz-"))
    print(f"seed {given.seed}, in {place}")  # noqa: T201
    fuzz = Fuzz(House(place), given.seed)
    try:
        fuzz.house.start()
        fuzz.run(given.seconds)
        print(f"{fuzz.acts}; longest stall {fuzz.longest:.3f} s")  # noqa: T201
    finally:
        fuzz.close()


if __name__ == "__main__":
    sys.exit(main())
