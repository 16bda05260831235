"""Promises of handlers.resume.continuing: a published output lies as MindFormers wants it, and nothing beside it."""

import json
from pathlib import Path

import pytest

from handlers.ckpt import Format
from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version
from handlers.resume.config import Beginning
from handlers.resume.continuing import begin_with
from handlers.validate.initial_weights import NoBaseError
from handlers.validate.published_form import Loader

WHOLE, CUT = (Loader(dialect_of(Version(1, 9)), is_cut=is_cut) for is_cut in (False, True))
NEW = Loader(dialect_of(Version(1, 9)), is_cut=True, is_iteration=True)
PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """Return a directory with one output in each form, which no merge would write together."""
    merged = tmp_path / "merged"
    merged.mkdir()
    for name in ("filtered_transformed.ckpt", "model.safetensors", *PARTS):
        (merged / name).write_text(name)
    (merged / INDEX).write_text(json.dumps({"weight_map": {"a": PARTS[0], "b": PARTS[1], "c": PARTS[0]}}))
    return merged


@pytest.mark.parametrize(
    ("name", "loader", "laid_out", "told"),
    (
        ("filtered_transformed.ckpt", CUT, {"rank_0/filtered_transformed.ckpt"}, Beginning(Path(), cuts=True)),
        ("model.safetensors", CUT, {"model.safetensors"}, Beginning(Path(), Format.SAFETENSORS, cuts=True)),
        (
            "model.safetensors",
            WHOLE,
            {"rank_0/model.safetensors", "rank_1/model.safetensors"},
            Beginning(Path(), Format.SAFETENSORS),
        ),
        (INDEX, CUT, {*PARTS, "param_name_map.json"}, Beginning(Path(), Format.SAFETENSORS, cuts=True)),
        (INDEX, NEW, {f"merged-{part}" for part in PARTS}, Beginning(Path(), Format.SAFETENSORS, is_iteration=True)),
        (
            "model.safetensors",
            NEW,
            {"merged-model.safetensors"},
            Beginning(Path(), Format.SAFETENSORS, is_iteration=True),
        ),
    ),
)
def test_each_form(
    merged: Path, tmp_path: Path, name: str, loader: Loader, laid_out: set[str], told: Beginning
) -> None:
    """What an earlier attempt has laid out is gone; every name leads to its file."""
    directory = tmp_path / "initial"
    (directory / "rank_0").mkdir(parents=True)
    (directory / "rank_0" / "old.ckpt").touch()
    found = begin_with(merged / name, loader, 2, directory)
    links = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
    assert links == laid_out
    for link in links:
        wanted = INDEX if link == "param_name_map.json" else Path(link).name.removeprefix("merged-")
        assert (directory / link).read_bytes() == (merged / wanted).read_bytes()
    assert found == Beginning(directory, told.format, resume=False, cuts=told.cuts, is_iteration=told.is_iteration)


def test_ranks_that_hold_the_whole_network_load_the_ckpt_itself(merged: Path, tmp_path: Path) -> None:
    """As ever."""
    path = merged / "filtered_transformed.ckpt"
    assert begin_with(path, WHOLE, 2, tmp_path / "initial") == Beginning(path, resume=False)


@pytest.mark.parametrize(
    ("name", "loader", "content", "what"),
    (
        ("filtered_transformed.ckpt", NEW, None, "merge: format: safetensors"),
        (INDEX, WHOLE, None, "leave merge: max_shard_size out"),
        (INDEX, CUT, "{", "is no index of safetensors"),
        (INDEX, CUT, "{}", "is no index of safetensors"),
        (INDEX, CUT, '{"weight_map": [1]}', "is no index of safetensors"),
    ),
)
def test_what_cannot_be_loaded_is_refused(
    merged: Path, tmp_path: Path, name: str, loader: Loader, content: str | None, what: str
) -> None:
    """With what to do, before any rank is started."""
    if content is not None:
        (merged / name).write_text(content)
    with pytest.raises(NoBaseError, match=what):
        begin_with(merged / name, loader, 2, tmp_path / "initial")
