"""Promises of handlers.validate.published_form: `latest` leads to nothing that the next night could not load."""

import pytest

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import Version
from handlers.validate.glmd_section import MergeWish
from handlers.validate.published_form import Loader, can_be_continued

OLD = Loader(dialect_of(Version(0, 8)), is_cut=True)
WHOLE, CUT = (Loader(dialect_of(Version(1, 9)), is_cut=is_cut) for is_cut in (False, True))
NEW = Loader(dialect_of(Version(1, 9)), is_cut=False, is_iteration=True)
SAFE = {"format": "safetensors"}
SEVERAL = {"format": "safetensors", "max_shard_size": "5GB"}


@pytest.mark.parametrize(
    ("wish", "can"),
    (
        ({}, (True, True, True, False)),
        ({"lora": "merge"}, (True, True, True, False)),
        ({"keep": ["weights", "optimizer"]}, (True, True, True, False)),
        ({"keep": ["scalars"]}, (False, False, False, False)),
        (SAFE, (False, True, True, True)),
        (SAFE | {"lora": "only"}, (False, False, False, False)),
        ({"format": "huggingface"}, (False, False, False, False)),
        (SEVERAL, (False, False, True, True)),
    ),
)
def test_what_a_training_can_continue_from(wish: dict[str, object], can: tuple[bool, ...]) -> None:
    """A whole network, in a form that its MindFormers loads into ranks like its own."""
    found = tuple(can_be_continued(MergeWish.model_validate(wish), loader) for loader in (OLD, WHOLE, CUT, NEW))
    assert found == can
