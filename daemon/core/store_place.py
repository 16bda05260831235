"""Where the settings say that the store is to lie, and what prevents that."""

from daemon.core.root import Root
from daemon.core.settings import Settings
from handlers.host.file_systems import network_file_system


def root_of(settings: Settings) -> Root:
    """Return the root that these settings are of, with the place of the store that they name."""
    return Root(settings.root, settings.store or settings.root)


def unfit(settings: Settings, root: Root) -> str:
    """Return why the store may not lie where `root` has it; empty where it may. Without slurm: it may anywhere."""
    kind = None if settings.slurm is None else network_file_system(root.kept)
    if kind is None:
        return ""
    return (
        f"store: {root.kept} is on {kind}, where SQLite's WAL does not work between hosts, and with slurm: several "
        "hosts see it; set store: to a directory of this host, as store: /var/lib/glmd"
    )


def is_unshared(settings: Settings, root: Root) -> bool:
    """Say whether the root is for several hosts, and on a file system of this one: it may export it, or not."""
    return settings.slurm is not None and network_file_system(root.path) is None
