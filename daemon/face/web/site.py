"""What every request is answered from."""

import platform
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlencode

from daemon.core.night_hours import NightHours
from daemon.core.root import Root
from daemon.core.web_plan import WebPlan
from daemon.face.web.curves import Curves
from daemon.face.web.kept import Kept
from daemon.face.web.npu_exporter import NpuExporter
from daemon.face.web.plan import PagePlan
from daemon.face.web.sparks import Sparks
from daemon.face.web.static_files import StaticFiles
from handlers.hidden_keys import HiddenKeys


@dataclass(frozen=True)
class Site:
    """One root, as the settings want it shown."""

    root: Root
    web: WebPlan
    hours: NightHours
    host: str
    static: StaticFiles = field(default_factory=StaticFiles)
    curves: Curves = field(default_factory=Curves)
    kept: Kept = field(default_factory=Kept)
    sparks: Sparks = field(default_factory=Sparks)

    @classmethod
    def of(cls, plan: PagePlan) -> "Site":
        """Return the site that is planned."""
        return cls(Root(plan.root), plan.web, NightHours.parse(plan.night), platform.node())

    @cached_property
    def hidden(self) -> HiddenKeys:
        """Which values are not shown, wherever they come from."""
        return HiddenKeys.of(self.web.hide)

    @cached_property
    def npu_exporter(self) -> NpuExporter | None:
        """Who knows how the devices are; None where the settings name nobody."""
        return NpuExporter(self.web.npu_exporter) if self.web.npu_exporter else None

    def url(self, path: str, /, **query: object) -> str:
        """Return the address of a path on this host, with what of `query` says something."""
        asked = {key: value for key, value in query.items() if value not in {None, ""}}
        return f"{self.web.prefix}{path}{'?' if asked else ''}{urlencode(asked)}"
