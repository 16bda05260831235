"""The settings of notifications say who is told what; an address or a secret has no place in them."""

from datetime import time
from pathlib import Path

import pytest

from daemon.core.event_kinds import DEFAULT, EventKind
from daemon.core.notify_settings import DestinationSettings, NotifySettings
from daemon.core.settings import Settings, SettingsError, load_settings

TEAM = "{name: team, url: credential:team"


def read(tmp_path: Path, text: str) -> NotifySettings:
    """Return what a settings file with `text` behind `notify:` says."""
    path = tmp_path / "glmd.yaml"
    path.write_text(f"notify: {text}\n")
    return load_settings(path, None).notify


def destination(tmp_path: Path, more: str = "") -> DestinationSettings:
    """Return a destination with more settings."""
    (found,) = read(tmp_path, f"{{destinations: [{TEAM}{more}}}]}}").destinations
    return found


def test_nobody_is_told_by_default() -> None:
    """The digest would come at eight."""
    assert Settings().notify.morning == time(8)
    assert Settings().notify.destinations == ()


def test_a_destination_needs_a_name_and_a_credential(tmp_path: Path) -> None:
    """The rest is what most people want."""
    found = destination(tmp_path)
    assert (found.name, found.url, found.secret, found.language) == ("team", "credential:team", None, "en")
    assert (found.events, found.jobs, found.quiet, found.group, found.most) == (DEFAULT, "*", None, None, None)


def test_all_that_can_be_said(tmp_path: Path) -> None:
    """As docs/notifications.md has it."""
    found = destination(
        tmp_path,
        ', secret: credential:key, language: zh, events: [job.failed, digest], jobs: "glm-*", quiet: "23:00-07:00",'
        " group: 5m, most: 20/min",
    )
    assert (found.secret, found.language, found.jobs) == ("credential:key", "zh", "glm-*")
    assert found.events == {EventKind.JOB_FAILED, EventKind.DIGEST}
    assert found.quiet == "23:00-07:00"
    assert (found.group, found.most) == (300.0, (20, 60.0))


def test_what_was_read_can_be_read_again(tmp_path: Path) -> None:
    """Whoever changes one setting of many makes the settings anew of what they say."""
    found = read(
        tmp_path,
        f"{{heartbeat: credential:beat, destinations: [{TEAM}, quiet: 23:00-07:00, most: 20/min, events: [digest]}}]}}",
    )
    assert NotifySettings.model_validate(found.model_dump()) == found


def test_all_events_are_a_star(tmp_path: Path) -> None:
    """But for the try, which nobody subscribes to."""
    assert destination(tmp_path, ', events: ["*"]').events == set(EventKind) - {EventKind.TEST}


@pytest.mark.parametrize("word", ("off", "none", '"off"'))
def test_a_limit_can_be_off(tmp_path: Path, word: str) -> None:
    """Which is something else than none named: a webhook has none by default, people have one."""
    assert destination(tmp_path, f", most: {word}").most == "off"


@pytest.mark.parametrize("word", ("null", "off"))
def test_there_may_be_no_digest(tmp_path: Path, word: str) -> None:
    """Whoever reads `glmd night` needs none."""
    assert read(tmp_path, f"{{morning: {word}}}").morning is None


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("{morning: 25:00}", "no time of the day"),
        ("{destinations: [{name: a b, url: credential:team}]}", "name"),
        (f"{{destinations: [{TEAM}, events: []}}]}}", "write a list"),
        (f"{{destinations: [{TEAM}, events: [job.exploded]}}]}}", "job.failed, job.done"),
        (f"{{destinations: [{TEAM}, events: [test]}}]}}", "is no event"),
        (f"{{destinations: [{TEAM}, quiet: night}}]}}", "18:00-08:00"),
        (f"{{destinations: [{TEAM}, group: 2h}}]}}", "3600"),
        (f"{{destinations: [{TEAM}, most: 10}}]}}", "10/h"),
        (f"{{destinations: [{TEAM}, most: 0/h}}]}}", "no limit"),
        (f"{{destinations: [{TEAM}, language: de}}]}}", "language"),
        (f"{{destinations: [{TEAM}}}, {TEAM}}}]}}", "the same name"),
        (
            f"{{destinations: [{', '.join(f'{{name: a{n}, url: credential:a}}' for n in range(33))}]}}",
            "33 destinations",
        ),
    ),
)
def test_what_is_wrong_is_said_with_what_is_right(tmp_path: Path, text: str, said: str) -> None:
    """At its line and column, before anything is sent."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    (
        "{destinations: [{name: team, url: https://hooks.example/s3cret}]}",
        "{destinations: [{name: team, url: credential:team, secret: whsec_s3cret}]}",
        "{destinations: [{name: team, url: [s3cret]}]}",
        "{destinations: [{name: team, url: credential:../s3cret}]}",
        "{heartbeat: https://up.example/s3cret}",
    ),
)
def test_an_address_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    """Every user may read the file; whoever asks for a reload reads what is wrong with it."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert "/etc/glmd/credentials/NAME" in str(caught.value)
    assert "s3cret" not in str(caught.value)
