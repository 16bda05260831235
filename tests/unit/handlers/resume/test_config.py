"""Promises of handlers.resume.config: a few keys change, and nothing else."""

from pathlib import Path

import pytest

from handlers.errors import HandlerError
from handlers.resume.config import resuming
from handlers.validate.document import parse

WEIGHTS = Path("/var/glm/jobs/0042-a b'c/attempts/2/resume_from/checkpoint")


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
