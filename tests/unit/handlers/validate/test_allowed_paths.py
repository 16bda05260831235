"""Where a dropped file may name paths."""

from pathlib import Path

import pytest

from handlers.validate.allowed_paths import check_allowed
from handlers.validate.document import parse
from handlers.validate.problem import Findings


def refused(text: str, *allowed: Path) -> list[str]:
    """Return the dotted keys that are refused."""
    findings = Findings()
    check_allowed(parse(text.encode(), "a.yaml").root, allowed, findings)
    return sorted(problem.where for problem in findings.problems)


def test_the_default_leaves_it_to_the_rights_of_the_user() -> None:
    """`/` is everything."""
    assert refused("load_checkpoint: /etc/shadow\n", Path("/")) == []


def test_every_path_counts_under_whatever_key(tmp_path: Path) -> None:
    """In lists, in our own section, under keys that no check knows; an alias counts where its anchor is."""
    text = f"""\
load_checkpoint: {tmp_path}/a.ckpt
train_dataset: &data
  data_loader: {{dataset_dir: /elsewhere/train.json, dataset_files: [{tmp_path}/x, /elsewhere/y]}}
again: *data
new_key_of_a_later_version: /elsewhere
prompt: "a/b and ../c are no absolute paths"
glmd:
  continue_from: /elsewhere/b.ckpt
  merge: {{layout_from: /elsewhere/strategy}}
"""
    assert refused(text, tmp_path) == [
        "glmd.continue_from",
        "glmd.merge.layout_from",
        "new_key_of_a_later_version",
        "train_dataset.data_loader.dataset_dir",
        "train_dataset.data_loader.dataset_files[1]",
    ]


@pytest.mark.parametrize("name", ("../outside", "link/x", "link", "../inside_too"))
def test_ways_out_are_seen_through(tmp_path: Path, name: str) -> None:
    """Dots, symbolic links, and a neighbour whose name begins alike."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside_too").mkdir()
    (inside / "link").symlink_to(tmp_path / "outside")
    assert refused(f"load_checkpoint: {inside}/{name}\n", inside) == ["load_checkpoint"]


@pytest.mark.parametrize("path", ("../../../etc", "..", "./x/../../etc", "~/x", "~root/x"))
def test_a_relative_way_out_is_one_too(tmp_path: Path, path: str) -> None:
    """Wherever it starts: a rank's directory is not where any data is."""
    assert refused(f'vocab_file: "{path}"\n', tmp_path) == ["vocab_file"]


@pytest.mark.parametrize("text", ("./output", "a/../b", "~5 minutes", "...", "..a", ""))
def test_what_leads_nowhere_else_does(tmp_path: Path, text: str) -> None:
    """As most texts do."""
    assert refused(f'any: "{text}"\n', tmp_path) == []


def test_a_link_within_and_an_allowed_link_do(tmp_path: Path) -> None:
    """What is allowed may itself be a link: /data on one host, /mnt/nvme/data in fact."""
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to("real")
    assert refused(f"load_checkpoint: {tmp_path}/real/a.ckpt\n", tmp_path / "data") == []
    assert refused(f"load_checkpoint: {tmp_path}/data/a.ckpt\n", tmp_path / "real") == []


@pytest.mark.parametrize("path", ("/" + "a" * 5000, "/a" * 100_000))
def test_what_no_path_can_be_is_outside(path: str) -> None:
    """At once, whatever its length."""
    assert refused(f"load_checkpoint: {path}\n", Path("/data")) == ["load_checkpoint"]
