"""The units say nothing wrong and allow no more than they must."""

import re

import pytest

from tests.systemd.box import Box

pytestmark = pytest.mark.systemd


@pytest.mark.parametrize(
    "unit",
    (
        "glmd.service",
        "glmd-job@0042-1-train.service",
        "glmd-notify.service",
        "glmd-web.socket",
        "glmd-web.service",
        "glmd-metrics.timer",
        "glmd-metrics.service",
    ),
)
def test_systemd_finds_no_fault(box: Box, unit: str) -> None:
    """systemd-analyze verify has nothing to say, also not about a word it does not know."""
    done = box.run("systemd-analyze", "verify", "--man=no", unit)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "glmd" in line] == []


@pytest.mark.parametrize(
    ("unit", "limit"),
    (
        ("glmd.service", 1.5),
        ("glmd-job@0042-1-train.service", 4.0),
        ("glmd-notify.service", 1.5),
        ("glmd-web.service", 1.0),
        ("glmd-metrics.service", 1.0),
    ),
)
def test_exposure_stays_low(box: Box, unit: str, limit: float) -> None:
    """`systemd-analyze security`: a bare unit has 9.6."""
    report = box.say("systemd-analyze", "security", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure is not None
    assert float(exposure[1]) <= limit


@pytest.mark.parametrize(
    "unit", ("glmd-notify.service", "glmd-web.socket", "glmd-web.service", "glmd-metrics.timer", "glmd-metrics.service")
)
def test_the_daemon_does_not_know_what_tells_of_it(box: Box, unit: str) -> None:
    """No start, stop or failure of those that only read is one of glmd.service, and none is enabled by itself."""
    for relation in ("Wants", "Requires", "BindsTo", "PartOf", "Upholds", "After", "Before", "OnFailure"):
        assert unit.partition(".")[0] not in box.shows("glmd.service", relation), relation
        assert "glmd.service" not in box.shows(unit, relation), relation
    assert box.shows(unit, "UnitFileState") in {"disabled", "static"}


def test_jobs_are_not_bound_to_the_daemon(box: Box) -> None:
    """Nothing that happens to glmd.service reaches a job."""
    for relation in ("PartOf", "BindsTo", "Requires", "ConsistsOf", "PropagatesStopTo"):
        assert "glmd.service" not in box.shows("glmd-job@0042-1-train.service", relation)
        assert "glmd-job@" not in box.shows("glmd.service", relation)
