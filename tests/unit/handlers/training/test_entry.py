"""What the training interpreter is told to run."""

from pathlib import Path

import pytest

from handlers.training.entry import RUN_MINDFORMER, checked_entry, script_of


@pytest.mark.parametrize(
    ("entry", "script"),
    (
        (RUN_MINDFORMER, "/opt/mf/run_mindformer.py"),
        ("tools/train.py", "/opt/mf/tools/train.py"),
        ("./train", "/opt/mf/train"),
        ("/srv/train.py", "/srv/train.py"),
        ("/srv/train", "/srv/train"),
    ),
)
def test_a_script(entry: str, script: str) -> None:
    """In the checkout, unless it is said from the root."""
    assert script_of(checked_entry(entry), Path("/opt/mf")) == Path(script)


@pytest.mark.parametrize("entry", ("train", "site_tools.train_glm", "a.b.c"))
def test_a_module(entry: str) -> None:
    """Whatever has no directory and does not end as a file of Python does."""
    assert script_of(checked_entry(entry), Path("/opt/mf")) is None


@pytest.mark.parametrize("entry", ("", "train glm", "-c", "a..b", "1.5", "python -m train"))
def test_neither(entry: str) -> None:
    """An option or a command is none: the interpreter is named elsewhere."""
    with pytest.raises(ValueError, match=r"neither a module, as package\.train, nor a script, as run_mindformer\.py"):
        checked_entry(entry)
