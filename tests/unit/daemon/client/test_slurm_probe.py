"""The jobs of a minute: what comes of them, and that none is left behind. A shell script plays Slurm."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from daemon.client import slurm_probe
from daemon.client.slurm_probe import Probed, probes
from daemon.core.setting_sections import TrainingSettings
from daemon.core.settings import Settings
from daemon.core.slurm_settings import SlurmCommands, SlurmSettings
from handlers.records.probe import Probe
from tests.unit.handlers.slurm.tools import NAMES

SBATCH = """\
for it in "$@"; do
  case "$it" in --job-name=*) name="${it#*=}";; --nodelist=*) node="${it#*=}";; --output=*) out="${it#*=}";; esac
  script="$it"
done
echo "$@" >>PLACE/sbatch.argv
[ "$node" = busy ] && { echo "$node|PENDING|$name" >>PLACE/jobs; wc -l <PLACE/jobs; exit; }
[ "$node" = lost ] && { echo "$node|PENDING|$name" >>PLACE/jobs; echo "Socket timed out" >&2; exit 1; }
[ "$node" = none ] && { echo "sbatch: error: Invalid node name specified" >&2; exit 1; }
bash "$script" >"$out" 2>&1 && state=COMPLETED || state=FAILED
echo "$node|$state|$name" >>PLACE/jobs; wc -l <PLACE/jobs
"""
SQUEUE = """\
number=0
cat PLACE/jobs 2>/dev/null | while IFS='|' read -r node state name; do
  number=$((number + 1)); echo "$number|$state|None|N/A|$node|$name|main"
done
"""
SCANCEL = 'echo "$@" >>PLACE/scancel.argv\n'


class Slurm:
    """Programs that take jobs: of `busy` it waits, of `lost` sbatch's answer is lost, and there is no `none`."""

    def __init__(self, place: Path) -> None:
        self.place, self.root = place / "tools", place / "root"
        self.place.mkdir()
        self.root.mkdir()
        for name, script in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
            self.play(name, script)
        self.settings = Settings(
            root=self.root,
            training=TrainingSettings(python=Path(sys.executable)),
            slurm=SlurmSettings(
                commands=SlurmCommands(**{name: str(self.place / name) for name in NAMES}), prologue="export PROBED=yes"
            ),
        )

    def play(self, name: str, script: str) -> None:
        """Let a program do that."""
        (self.place / name).write_text(f"#!/bin/bash\n{script.replace('PLACE', str(self.place))}")
        (self.place / name).chmod(0o755)

    def have(self, **settings: object) -> None:
        """Let the settings of this Slurm's say so."""
        assert self.settings.slurm is not None
        self.settings = self.settings.model_copy(update={"slurm": self.settings.slurm.model_copy(update=settings)})

    def probe(self, *nodes: str) -> dict[str, Probed]:
        """Look at these nodes."""
        assert self.settings.slurm is not None
        with closing(probes(self.settings, self.settings.slurm, nodes)) as found:
            return {one.node: one for one in found}

    def told(self, name: str) -> list[str]:
        """Return what a program was called with."""
        path = self.place / f"{name}.argv"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """Return one, and nobody waits long for it."""
    monkeypatch.setattr(slurm_probe, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(slurm_probe, "FILES", 0.05)
    return Slurm(tmp_path)


def test_a_node_says_what_it_has(slurm: Slurm) -> None:
    """By a job of a minute, that Slurm drops by itself when it has waited for some."""
    found = slurm.probe("n1")["n1"].probe
    assert isinstance(found, Probe)
    assert found.training
    assert found.host == os.uname().nodename
    (told,) = slurm.told("sbatch")
    for option in (
        "--time=1 ",
        "--deadline=now+4minutes",
        "--no-requeue",
        "--nodelist=n1",
        "--nodes=1",
        "--export=ALL",
    ):
        assert option in told
    assert list(slurm.root.iterdir()) == []


def test_a_node_is_asked_for_as_trainings_ask_for_it(slurm: Slurm) -> None:
    """By the site's own options, as far as they say by whose account and where; a look needs no node of its own."""
    whose = ["--account=physics", "--constraint=910b", "--wckey=llm"]
    slurm.have(options=(*whose, "--exclusive", "--nodelist=n7", "--switches=1", "--mem=500G"))
    slurm.probe("n1")
    (told,) = slurm.told("sbatch")
    options = told.split()
    assert [option for option in options if option in whose] == whose
    assert not {"--exclusive", "--nodelist=n7", "--switches=1", "--mem=500G"} & {*options}


@pytest.mark.parametrize(
    ("node", "prologue", "told"),
    (
        ("n1", "echo this is it; exit 3", "its job is FAILED, and wrote no result, but: this is it"),
        ("n1", "exit 3", "its job is FAILED, and wrote nothing: is the root the same directory there?"),
        ("none", "", "Invalid node name specified"),
        ("lost", "", "Socket timed out"),
    ),
)
def test_a_node_that_says_nothing_says_why(slurm: Slurm, node: str, prologue: str, told: str) -> None:
    """As far as its batch step, or sbatch, says something."""
    slurm.have(prologue=prologue)
    found = slurm.probe(node)[node]
    assert found.probe is None
    assert told in found.why


def test_a_job_that_does_not_begin_is_given_up(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """And cancelled, by name and number."""
    monkeypatch.setattr(slurm_probe, "PATIENCE", 0.2)
    assert "had written nothing after 0 s: PENDING (None)" in slurm.probe("busy")["busy"].why
    assert_cancelled(slurm, 1)


def assert_cancelled(slurm: Slurm, count: int) -> None:
    """Hold that so many jobs were cancelled, and no file is left."""
    told = slurm.told("scancel")
    assert len(told) == count
    assert all(one.startswith("--name=glmd-probe-") for one in told)
    assert list(slurm.root.iterdir()) == []


def test_a_job_whose_answer_was_lost_is_cancelled_too(slurm: Slurm) -> None:
    """It is found by its name."""
    assert slurm.probe("lost")["lost"].probe is None
    assert_cancelled(slurm, 1)


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_none_is_left_when_somebody_ends_it(slurm: Slurm, number: signal.Signals) -> None:
    """Ctrl-C, TERM, or the terminal is closed."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of a shell in the background has none
    slurm.play(
        "squeue", f"{SQUEUE}[ -e PLACE/ended ] || {{ touch PLACE/ended; kill -{number.name[3:]} {os.getpid()}; }}\n"
    )
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        slurm.probe("busy", "lost")
    assert_cancelled(slurm, 2)
    subprocess.run(["true"], check=True)  # which waits for squeue, where the signal came while that was being started
    assert signal.signal(signal.SIGINT, earlier) is signal.default_int_handler


def test_who_stops_listening_leaves_none(slurm: Slurm) -> None:
    """The first finding was enough."""
    assert slurm.settings.slurm is not None
    with closing(probes(slurm.settings, slurm.settings.slurm, ["n1", "busy"])) as found:
        assert next(found).node == "n1"
    assert_cancelled(slurm, 1)


def test_what_cannot_be_cancelled_is_said(slurm: Slurm, capsys: pytest.CaptureFixture[str]) -> None:
    """With what would end it, and that it ends by itself."""
    slurm.play("scancel", "echo 'Unable to contact slurm controller' >&2; exit 1\n")
    slurm.probe("lost")
    said = capsys.readouterr().err
    told = "controller; what is left ends by itself in 4 minutes: scancel --name=glmd-probe-"
    assert told in said
