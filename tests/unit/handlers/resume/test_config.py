"""Promises of handlers.resume.config: a few keys change, and nothing else."""

from pathlib import Path

import pytest

from handlers.ckpt import Format
from handlers.errors import HandlerError
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version
from handlers.resume.config import Beginning, beginning_with
from handlers.validate.document import parse

WEIGHTS = Path("/var/glm/jobs/0042-a b'c/attempts/2/resume_from/checkpoint")


def resuming(content: bytes, weights: Path) -> bytes:
    """Let MindFormers 0.8 go on from a .ckpt."""
    return beginning_with(content, Beginning(weights), dialect_of(Version(0, 8)))


def data(content: bytes) -> dict[object, object]:
    """Return a YAML as data."""
    found = parse(content, "config.yaml").root.data
    assert isinstance(found, dict)
    return dict(found)


@pytest.mark.parametrize(
    "keys",
    (
        "",
        "load_checkpoint: '/data/base.ckpt'\nresume_training: False\nauto_trans_ckpt: True\n",
        "load_checkpoint:\nresume_training: True\n",
    ),
)
def test_the_keys_that_make_mindformers_resume(keys: str) -> None:
    """Whatever stood there before; comments, order and spelling of the rest stay."""
    rest = "seed: 0  # mine\nlr: 1.e-5\ndata: &d {a: 1}\ntask:\n  config: *d\n"
    found = resuming((keys + rest).encode(), WEIGHTS)
    assert rest.encode() in found
    assert data(found) == {
        **data(rest.encode()), "load_checkpoint": str(WEIGHTS), "resume_training": True, "auto_trans_ckpt": False,
    }  # fmt: skip


def test_doing_it_again_changes_nothing_more() -> None:
    """A resumed training may be resumed."""
    once = resuming(b"seed: 0\n", WEIGHTS)
    assert data(resuming(once, WEIGHTS)) == data(once)


def test_a_file_without_a_line_break_at_its_end() -> None:
    """The first new key does not run into the last old one."""
    assert data(resuming(b"seed: 0", WEIGHTS))["seed"] == 0


@pytest.mark.parametrize("content", (b"{seed: 0, load_checkpoint: a}\n", b"seed: 0\n...\n"))
def test_what_cannot_be_changed_is_refused(content: bytes) -> None:
    """Rather than run something that only looks like it."""
    with pytest.raises(HandlerError):
        resuming(content, WEIGHTS)


LEGACY = Beginning(WEIGHTS, Format.SAFETENSORS, resume="glm4_rank_0-2_4.safetensors", is_shared_out=True)
NEW = Beginning(WEIGHTS, Format.SAFETENSORS, is_iteration=True)
BY_KEY = "use_legacy_format: False\n"
KEYS: dict[object, object] = {"load_checkpoint": str(WEIGHTS), "auto_trans_ckpt": False}
OF_SAFETENSORS: dict[object, object] = {"load_ckpt_format": "safetensors", "remove_redundancy": False}


@pytest.mark.parametrize(
    ("version", "beginning", "before", "expected"),
    (
        ("1.4", Beginning(WEIGHTS), "", {"resume_training": True}),
        (
            "1.5",
            Beginning(WEIGHTS),
            "load_ckpt_format: safetensors\n",
            {"resume_training": True, "load_ckpt_format": "ckpt", "remove_redundancy": False},
        ),
        (
            "1.9",
            LEGACY,
            "remove_redundancy: False\n",
            {"resume_training": LEGACY.resume, "load_ckpt_format": "safetensors", "remove_redundancy": True},
        ),
        ("1.8", NEW, BY_KEY, {"resume_training": True, "use_legacy_format": False} | OF_SAFETENSORS),
        ("1.9", NEW, BY_KEY, {"resume_training": True, "use_legacy_format": False} | OF_SAFETENSORS),
        (
            "1.9",
            NEW,
            "checkpoint:\n  prefix: glm4  # mine\n  no_load_optim: True\n  load_path: /base\n",
            {"resume_training": True, **OF_SAFETENSORS}
            | {"checkpoint": {"prefix": "glm4", "no_load_optim": False, "load_path": str(WEIGHTS)}},
        ),
    ),
)  # fmt: skip
def test_the_keys_of_each_version(
    version: str, beginning: Beginning, before: str, expected: dict[object, object]
) -> None:
    """What a version takes is said, whatever stood there for the weights before; what it does not know is left out."""
    found = beginning_with(before.encode() + b"seed: 0\n", beginning, dialect_of(Version.parse(version)))
    assert data(found) == {"seed": 0} | KEYS | expected
    assert b"  # mine" not in found


def test_weights_that_are_continued_from_are_no_resume() -> None:
    """The training begins at its first step, in the new format too, and the file says who did that."""
    new = Beginning(WEIGHTS, Format.SAFETENSORS, resume=False, is_iteration=True)
    found = beginning_with(b"checkpoint: {no_load_optim: False}\n", new, dialect_of(Version(1, 9)))
    assert data(found)["checkpoint"] == {"no_load_optim": True, "load_path": str(WEIGHTS)}
    assert data(found)["resume_training"] is False
    assert b"# Set by glmd, which lets this training continue from a published output:" in found


def test_a_section_that_cannot_be_written_again_is_refused() -> None:
    """Rather than lose what it says."""
    with pytest.raises(HandlerError):
        beginning_with(b"checkpoint: {1: a, prefix: b}\n", NEW, dialect_of(Version(1, 9)))
