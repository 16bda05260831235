"""glmd's settings: glmd.yaml, overridden by GLMD_… environment variables, checked once and frozen."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.core import night_hours
from daemon.core.metrics_settings import MetricsSettings
from daemon.core.notify_settings import NotifySettings
from daemon.core.root import DEFAULT_ROOT
from daemon.core.setting_sections import (
    AbsolutePath,
    Cancel,
    Devices,
    EvaluationSettings,
    InboxSettings,
    LogSettings,
    NightlySettings,
    Preflight,
    RankTableSettings,
    Runner,
    StopOnSettings,
    Texts,
    TrainingSettings,
    WatchSettings,
    checked_night,
)
from daemon.core.slurm_settings import SlurmSettings
from daemon.core.web_settings import WebSettings
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.gate.gate import MINDFORMERS, Gate, Name
from handlers.retention.policy import Retention
from handlers.units.devices import format_devices

DEFAULT_FILE = Path("/etc/glmd/glmd.yaml")


class SettingsError(BadInputError):
    """The settings file or an override cannot be used."""

    code = Code.SETTINGS_UNUSABLE


class Settings(Texts, BaseSettings):
    """Everything a site can set. An override is the upper-case path, as GLMD_TRAINING__PYTHON."""

    model_config = SettingsConfigDict(env_prefix="GLMD_", env_nested_delimiter="__", frozen=True, extra="forbid")

    root: AbsolutePath = DEFAULT_ROOT
    store: AbsolutePath | None = None
    """The directory of store, lock and socket; None where that is the root."""
    devices: Devices = tuple(range(8))
    runner: Runner = Runner.AUTO
    preflight: Preflight = Preflight.WAIT
    cancel: Cancel = Cancel.GROUP
    allowed_paths: tuple[AbsolutePath, ...] = (Path("/"),)
    """Where a dropped file may name paths, besides the root itself."""
    inbox: InboxSettings = InboxSettings()
    training: TrainingSettings = TrainingSettings()
    rank_table: RankTableSettings = RankTableSettings()
    watch: tuple[WatchSettings, ...] = ()
    nightly: tuple[NightlySettings, ...] = ()
    night: Annotated[str, AfterValidator(checked_night)] = night_hours.DEFAULT
    """From when to when a night is, as `glmd night` tells of it."""
    stop_on: StopOnSettings = StopOnSettings()
    gate: Gate = Gate()
    evaluations: dict[Name, EvaluationSettings] = {}
    retention: Retention = Retention()
    notify: NotifySettings = NotifySettings()
    web: WebSettings = WebSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    slurm: SlurmSettings | None = None
    """None where trainings run on this host alone."""

    @model_validator(mode="after")
    def _nightly_names_are_unique(self) -> Self:
        names = [cycle.name for cycle in self.nightly]
        if len(set(names)) != len(names):
            raise ValueError("nightly: two cycles have the same name")
        return self

    @model_validator(mode="after")
    def _gate_and_evaluations_fit(self) -> Self:
        for name, evaluation in self.evaluations.items():
            where = f"evaluations.{name}"
            if name == MINDFORMERS and evaluation.command:
                raise ValueError(f"{where}: command: MindFormers' own evaluation needs none; give yours another name")
            if name != MINDFORMERS and not (evaluation.command and evaluation.command[0].strip()):
                raise ValueError(f"{where}: command is missing: write [program, argument, …]")
            if absent := [device for device in evaluation.devices or () if device not in self.devices]:
                raise ValueError(f"{where}: devices: {format_devices(absent)} are not among `devices`")
        wanted = self.gate.evaluate
        if wanted is not None and wanted not in self.known_evaluations:
            raise ValueError(f"gate: evaluate: {wanted} is none of `evaluations`: {', '.join(self.known_evaluations)}")
        if self.gate.metrics and wanted is None:
            raise ValueError("gate: metrics: nothing measures them; name an evaluation in gate: evaluate")
        return self

    @property
    def known_evaluations(self) -> tuple[str, ...]:
        """The names that `gate.evaluate` may have."""
        return tuple(dict.fromkeys((*self.evaluations, MINDFORMERS)))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment override the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(file: Path | None, root: Path | None) -> Settings:
    """Read settings from `file`, else from ROOT/glmd.yaml or /etc/glmd/glmd.yaml where one is there.

    `root` wins over the file and the environment. Raises SettingsError.
    """
    found = settings_file(file, root)
    settings = _read(found) if found else _from_environment()
    return settings.model_copy(update={"root": root.absolute()}) if root else settings


def settings_file(file: Path | None, root: Path | None) -> Path | None:
    """Return which file has the settings, as `load_settings` reads them; None for none. Raises SettingsError."""
    candidates = [file] if file else [*([root / "glmd.yaml"] if root else []), DEFAULT_FILE]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if file and not found:
        raise SettingsError(f"{file}: no such settings file", Code.SETTINGS_NOT_THERE)
    return found


def _read(path: Path) -> Settings:
    from daemon.core.settings_file import read  # noqa: PLC0415 - slow to import, and `glmd status` seldom has a file to read

    return read(path, Settings)


def _from_environment() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        from daemon.core.wrong_settings import refused  # noqa: PLC0415 - as above

        raise refused(None, Settings, error) from error
