"""What the benchmarks of merging merge, and how: shards on the disk, the command, and what it is compared with."""

import json
import sys
from pathlib import Path

import make_safetensors
import make_shards
from make_safetensors import Form
from measuring import Command, measure

from handlers.ckpt import Family, walk

CP = ("sh", "-c", 'cp "$1" "$2" && sync "$2"', "-")


class Input:
    """Shards, and a place for what is made of them."""

    output_name = "filtered_transformed.ckpt"
    options: tuple[str, ...] = ("--src_postfix=31_4",)

    def __init__(self, scratch: Path, sizes: dict[str, int], *, sparse: bool) -> None:
        self.source = scratch / "output"
        self.merged = scratch / "merged"
        self.shards = self.make(sizes, sparse=sparse)
        self.merged.mkdir()

    def make(self, sizes: dict[str, int], *, sparse: bool) -> list[Path]:
        """Write the shards, and return them."""
        return make_shards.make(self.source, sparse=sparse, **sizes)

    @property
    def output(self) -> Path:
        """Where glmd's output is."""
        return self.merged / self.output_name

    def merge(self, *options: str, into: Path | None = None) -> list[str | Path]:
        """Return the arguments of glmd."""
        return [
            *("merge", *self.options, f"--src_checkpoints_dir={self.source}", "--force", *options),
            f"--dst_checkpoints_dir={into or self.merged}",
        ]

    def glmd(self, *options: str, into: Path | None = None) -> Command:
        """Return the command of a merge."""
        return [sys.executable, "-m", "daemon.cli", *self.merge(*options, into=into)]

    def clear(self) -> None:
        """Remove glmd's output."""
        for path in self.merged.iterdir():
            path.unlink()

    def warm(self) -> None:
        """Bring what glmd reads into the page cache, and what `cp` reads if it is there; no holes, they fill it too."""
        measure(self.read())
        if self.output.exists():
            measure(["cat", self.output])

    def read(self) -> Command:
        """Return the command that reads the needed bytes, and nothing else."""
        needed = self.source / "needed.json"
        if not needed.exists():
            needed.write_text(json.dumps(self.needed()))
        return [sys.executable, "-SE", Path(__file__).with_name("read_extents.py"), needed]

    def needed(self) -> dict[str, list[tuple[int, int]]]:
        """Return where in the shards the bytes of the output are."""
        return {
            str(path): [
                (extent.offset, extent.length)
                for entry in walk(path).entries.values()
                if entry.family is not Family.OPTIMIZER
                for extent in entry.extents
            ]
            for path in self.shards
        }


class SafetensorsInput(Input):
    """The same of today's MindFormers: safetensors, merged into one file of them."""

    output_name = "model.safetensors"
    options = ("--format=safetensors",)

    def __init__(self, scratch: Path, sizes: dict[str, int], form: Form = Form.SHARDS, *, sparse: bool) -> None:
        self.form = form
        scratch.mkdir(exist_ok=True)
        super().__init__(scratch, sizes, sparse=sparse)

    def make(self, sizes: dict[str, int], *, sparse: bool) -> list[Path]:
        """Write the files of tensors, and return them."""
        return make_safetensors.make(self.source, form=self.form, sparse=sparse, **sizes)


def clear(path: Path) -> None:
    """Remove a file, or the files of a directory."""
    for each in path.iterdir() if path.is_dir() else [path]:
        each.unlink(missing_ok=True)


def describe(given: Input) -> str:
    """Say how much goes in, and comes out."""
    apparent = sum(path.stat().st_size for path in given.shards)
    kept = sum(length for extents in given.needed().values() for _, length in extents)
    return f"{apparent / 1e9:.1f} GB of shards, {kept / 1e9:.1f} GB needed"
