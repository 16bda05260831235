"""Promises of docs/howto-slurm.md: what it shows is taken."""

import math
import re
from pathlib import Path

from daemon.core.settings import load_settings
from handlers.codes import Code
from handlers.validate.document import parse
from handlers.validate.glmd_section import read_section

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "howto-slurm.md").read_text("utf-8")
SETTINGS, FILE = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_settings_are_settings(tmp_path: Path) -> None:
    """Every key of them; what the text says of defaults is so."""
    file = tmp_path / "glmd.yaml"
    file.write_text(SETTINGS)
    settings = load_settings(file, None)
    assert settings.slurm is not None
    assert (settings.slurm.partition, settings.slurm.devices_per_node, settings.slurm.address) == ("npu", 8, "bond0")
    assert settings.slurm.prologue.startswith("source ")
    assert (settings.slurm.node_silence, settings.slurm.time, settings.training.grace) == (60, None, 20)


def test_the_section_is_one_and_its_factors_make_the_ranks() -> None:
    """Nodes × devices_per_node of the settings beside it."""
    document = parse(FILE.encode(), "run.yaml")
    section, wrong, problems = read_section(document.root)
    assert (wrong, problems) == (frozenset(), ())
    assert section.slurm is not None
    factors = [int(factor) for factor in re.findall(r"(?:data_parallel|model_parallel|pipeline_stage): (\d+)", FILE)]
    assert (len(factors), math.prod(factors)) == (3, section.slurm.nodes * 8)


def test_the_drop_in_is_installed_where_it_says() -> None:
    """And goes where its own first lines say."""
    source = "glmd-slurm.conf"
    assert f"/usr/local/share/doc/glmd/{source}" in TEXT
    place = "/etc/systemd/system/glmd.service.d/slurm.conf"
    assert place in TEXT
    assert place in (ROOT / "systemd" / source).read_text("utf-8")
    assert f"systemd/{source}" in (ROOT / "Makefile").read_text("utf-8")


def test_what_it_names_is_there() -> None:
    """Codes, other pages and their headings, and what glmd says."""
    codes = {code.value for code in Code}
    assert [name for name in re.findall(r"`(slurm\.[a-z-]+)`", TEXT) if name not in codes] == []
    for page, heading in re.findall(r"\]\((?:(\w+)\.md)?(?:#([\w-]+))?\)", TEXT):
        text = (ROOT / "docs" / f"{page}.md").read_text("utf-8") if page else TEXT
        headings = {re.sub(r"[^\w -]", "", name).strip().lower().replace(" ", "-") for name in _headings(text)}
        assert not heading or heading in headings, (page, heading)
    states = (ROOT / "daemon" / "serve" / "steps" / "slurm" / "states.py").read_text("utf-8")
    assert "cancelled in Slurm, and not by glmd cancel" in states


def _headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", text, re.MULTILINE)
