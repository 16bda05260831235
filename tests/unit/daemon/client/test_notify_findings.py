"""`glmd doctor` says of each destination whether it can be told, and shows no secret."""

from pathlib import Path

import pytest

from daemon.client.finding import Finding, Verdict
from daemon.client.notify_findings import of_notifications
from daemon.core.settings import Settings

TOKEN = "a-token-of-mine"  # noqa: S105 - an example


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory that the environment names."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def write(credentials: Path, name: str, text: str, mode: int = 0o600) -> None:
    """Write a credential."""
    path = credentials / name
    path.write_text(text)
    path.chmod(mode)


def found(heartbeat: str | None = None, **destination: str) -> list[Finding]:
    """Return what is found of a destination, and of the heartbeat."""
    notify = {"destinations": [{"name": "team", "url": "credential:team", **destination}], "heartbeat": heartbeat}
    return list(of_notifications(Settings.model_validate({"notify": notify})))


def test_without_destinations_it_says_how_to_be_told() -> None:
    """Nothing lacks: nobody has to be told."""
    (finding,) = of_notifications(Settings())
    assert finding.verdict is Verdict.OK
    assert "docs/notifications.md" in finding.text


def test_a_destination_that_can_be_told_is_named_without_its_secret(credentials: Path) -> None:
    """The host, and how to try it."""
    write(credentials, "team", f"https://hooks.example/{TOKEN}")
    (finding,) = found()
    assert finding.verdict is Verdict.OK
    assert "https://hooks.example/" in finding.text
    assert "glmd notify test team" in finding.text
    assert TOKEN not in str(finding)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    (
        (None, 0o600, "there is none"),
        (f"https://hooks.example/{TOKEN}", 0o644, "chmod 600"),
        (f"nonsense {TOKEN}", 0o600, "the address"),
        (f"http://hooks.example/{TOKEN}", 0o600, "others can read"),
    ),
    ids=("missing", "open to others", "no address", "plain"),
)
def test_what_lacks_is_said(credentials: Path, text: str | None, mode: int, said: str) -> None:
    """With what to do; the work of glmd goes on without, so it is a note."""
    if text is not None:
        write(credentials, "team", text, mode)
    (finding,) = found()
    assert finding.verdict is Verdict.NOTE
    assert said in f"{finding.text} {finding.advice}"
    assert TOKEN not in str(finding)


def test_a_secret_is_for_webhooks(credentials: Path) -> None:
    """Mail is not signed: who thinks that it is shall know."""
    write(credentials, "team", "smtps://u:p@mail.example/?from=a@b.example&to=c@d.example")
    write(credentials, "key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    (finding,) = found(secret="credential:key")  # noqa: S106 - a name
    assert finding.verdict is Verdict.NOTE
    assert "is no webhook" in finding.text


def test_the_heartbeat_is_a_url(credentials: Path) -> None:
    """And nothing else."""
    write(credentials, "beat", f"https://up.example/{TOKEN}")
    *_, finding = found(heartbeat="credential:beat")
    assert (finding.name, finding.verdict) == ("heartbeat", Verdict.OK)
    write(credentials, "beat", "smtps://u:p@mail.example/?from=a@b.example&to=c@d.example")
    *_, finding = found(heartbeat="credential:beat")
    assert finding.verdict is Verdict.NOTE
