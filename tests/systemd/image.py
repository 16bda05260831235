"""What Containerfile asks of a container engine, done by overlays, chroot and namespaces.

A base image is the root of this host. What a Containerfile says beyond what is here is an error.
"""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Self

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Containerfile, each with its arguments."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in whole.splitlines())]


@dataclass
class Stage:
    """One stage of a build: a root that is written over its base, and what has been said of it."""

    place: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "root"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """Where it is mounted."""
        return self.place / "root"

    def mount(self) -> Self:
        """Lay an empty layer over the root of this host; a slim image has no Python."""
        self.place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "image", self.place], check=True)
        for name in ("up", "work", "root"):
            (self.place / name).mkdir()
        layers = f"lowerdir=/,upperdir={self.place}/up,workdir={self.place}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        for python in (*self.root.glob("usr/bin/python3*"), *self.root.glob("usr/local/bin/python3*")):
            python.unlink()
        return self

    def unmount(self) -> None:
        """Leave nothing of it."""
        for path in (self.root, self.place):
            subprocess.run(["umount", "--lazy", path], check=False)

    def inside(self, *argv: str, prepare: str = "") -> list[str]:
        """Return a command that runs `argv` in here as the user of the image, alone and without a network."""
        words = " ".join(f"{name}='{value}'" for name, value in self.environment.items())
        script = f"mount -t proc proc {self.root}/proc; mount --bind /dev {self.root}/dev; {prepare} "
        script += f'exec chroot --userspec={self.user}:{self.user} {self.root} env -i {words} "$@"'
        return ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", script, "sh", *argv]

    def run(self, script: str) -> None:
        """Carry out RUN."""
        done = subprocess.run(self.inside("sh", "-c", script), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"RUN {script}\n{done.stdout}{done.stderr}"

    def copy(self, origin: Path, destination: str) -> None:
        """Carry out COPY."""
        target = self.root / destination.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, target, symlinks=True)
        else:
            shutil.copy(origin, target)

    def set(self, name: str, words: str) -> None:
        """Carry out what only says something of the image."""
        key, _, value = words.partition("=")
        match name:
            case "ENV":
                self.environment[key] = value
            case "USER":
                self.user = words
            case "VOLUME":
                self.volumes.append(words)
            case "ENTRYPOINT":
                self.entrypoint = json.loads(words)
            case "CMD":
                self.command = json.loads(words)
            case _:
                raise AssertionError(f"this builder knows no {name}")


def build(text: str, context: Path, place: Path, **arguments: str) -> Stage:
    """Carry out a Containerfile; return its last stage. Who calls this unmounts all stages, which lie in `place`."""
    stages: dict[str, Stage] = {}
    known: dict[str, str] = {}
    for name, rest in instructions(text):
        stage = list(stages.values())[-1] if stages else Stage(place)
        words = Template(rest).substitute(known) if name in {"FROM", "COPY"} else rest
        if name == "ARG":
            key, _, default = words.partition("=")
            known[key] = arguments.get(key, default)
        elif name == "FROM":
            alias = words.partition(" AS ")[2] or str(len(stages))
            stages[alias] = Stage(place / alias).mount()
        elif name == "COPY":
            *options, source, destination = words.split()
            from_stage = [stages[option.removeprefix("--from=")].root for option in options]
            stage.copy(from_stage[0] / source.lstrip("/") if from_stage else context / source, destination)
        elif name == "RUN":
            stage.run(rest)
        else:
            stage.set(name, words)
    return list(stages.values())[-1]
