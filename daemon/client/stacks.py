"""The stacks that `glmd demo` rehearses: a MindFormers and its MindSpore, and a tiny model that trains with them."""

from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

NAME = "rehearsal.yaml"


class StackName(StrEnum):
    """What people call them."""

    GLM_6B = "glm-6b"
    TODAY = "today"


@dataclass(frozen=True)
class Stack:
    """A stack, and the files that rehearse it."""

    name: StackName
    checkout: Path
    """Where run_mindformer.py, make_data.py, check_loss.py and the YAML are."""
    environment: str
    """How the directories in ~/.cache/glmd begin that `make` builds for it."""
    needs: str
    """What such an environment holds, for people."""
    trains: str
    """What two ranks have done at the end of the training."""
    model: str
    """Whose architecture it has."""
    acting: str
    """What is not as on a server."""

    @property
    def yaml(self) -> Path:
        """The YAML that is dropped, with {data} in it."""
        return self.checkout / NAME


STACKS = {
    StackName.GLM_6B: Stack(
        StackName.GLM_6B,
        Path(str(files("configs") / "rehearsal")),
        environment="training",
        needs="MindSpore 2.0 and MindFormers 0.8 on Python 3.9",
        trains="two ranks have trained 31 epochs of 4 steps, for real",
        model="GLM-6B",
        acting="MindSpore cuts networks on Ascend only, so here the shards are cut when they are saved.",
    ),
    StackName.TODAY: Stack(
        StackName.TODAY,
        Path(str(files("configs") / "rehearsal_today")),
        environment="today",
        needs="MindSpore 2.9 and MindFormers 1.9 on Python 3.11",
        trains="two ranks have trained 2 epochs of 4 steps, for real",
        model="GLM-4-9B",
        acting="MindSpore cuts networks on Ascend only, so here both ranks hold all of it, and each saves a half.",
    ),
}
GLM_6B = STACKS[StackName.GLM_6B]
TODAY = STACKS[StackName.TODAY]
