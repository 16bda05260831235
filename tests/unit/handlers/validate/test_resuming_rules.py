"""Promises of handlers.validate.resuming_rules."""

from dataclasses import replace

import pytest

from handlers.mindformers.dialect import dialect_of
from handlers.mindformers.version import OF_GLM_6B
from handlers.validate.document import parse
from handlers.validate.mindformers_rules import Parallel
from handlers.validate.problem import Findings
from handlers.validate.resuming_rules import check_resuming

WHOLE = Parallel(0, 8, 1, 1, 8, "Ascend")
CUT = Parallel(1, 1, 8, 1, 8, "Ascend")
V0_8 = dialect_of(OF_GLM_6B)


def warnings(runner: str, parallel: Parallel, *, inside: bool = False) -> list[str]:
    """Return what is warned of with this runner_config."""
    root = parse(f"runner_config: {runner}\nsave_checkpoint_steps: 500\n".encode(), "a.yaml").root
    findings = Findings()
    dialect = replace(V0_8, resumes_inside_epoch=inside)
    check_resuming(root, root["save_checkpoint_steps"], parallel, dialect, findings)
    assert not findings.problems
    return [str(warning) for warning in findings.warnings]


@pytest.mark.parametrize("parallel", (WHOLE, CUT))
def test_with_data_sinking_every_save_is_good(parallel: Parallel) -> None:
    """It is at the end of a sink."""
    assert warnings("{sink_mode: True, sink_size: 4}", parallel) == []


@pytest.mark.parametrize("runner", ("{sink_mode: False}", "{epochs: 1}"))
def test_without_it_saves_inside_an_epoch_are_warned_of(runner: str) -> None:
    """How many steps an epoch has is not known beforehand: the warning says so."""
    (warning,) = warnings(runner, WHOLE)
    assert warning.startswith(
        "2:24: save_checkpoint_steps: a save inside an epoch cannot be resumed from (without data"
    )
    assert "set runner_config.sink_mode to True, or this to the steps of a whole epoch (which this" in warning


def test_a_version_that_goes_on_inside_an_epoch_needs_no_warning() -> None:
    """The dialect says which."""
    assert warnings("{sink_mode: False}", WHOLE, inside=True) == []


@pytest.mark.parametrize("inside", (False, True))
@pytest.mark.parametrize("runner", ("{sink_mode: False}", "{epochs: 1}"))
def test_a_cut_network_cannot_be_resumed_at_all(runner: str, *, inside: bool) -> None:
    """MindFormers refuses to load into it without data sinking."""
    (warning,) = warnings(runner, CUT, inside=inside)
    assert "runner_config" in warning
    assert "without data sinking no save can be resumed from (MindFormers loads weights into a cut network" in warning


def test_a_cpu_cuts_no_network() -> None:
    """A rehearsal's ranks hold all of it, whatever the file says."""
    (warning,) = warnings("{sink_mode: False}", replace(CUT, target="CPU"))
    assert "save_checkpoint_steps" in warning
