"""The settings of metrics."""

from typing import Annotated

from pydantic import AfterValidator

from daemon.core.setting_sections import AbsolutePath, Section


def _textfile(path: AbsolutePath) -> AbsolutePath:
    if path.suffix != ".prom":
        raise ValueError(f"{path}: node_exporter reads only what ends in .prom, as /var/lib/node_exporter/glmd.prom")
    return path


class MetricsSettings(Section):
    """Samples for Prometheus, beside those that `glmd web` answers with."""

    textfile: Annotated[AbsolutePath, AfterValidator(_textfile)] | None = None
    """Where `glmd metrics --textfile` writes them, for node_exporter."""
