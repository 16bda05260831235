"""The process that runs for months is a small one: what takes memory, or holds a secret, is a child's."""

import subprocess
import sys

HEAVY = ("pydantic", "pydantic_settings", "ruamel", "apprise", "requests", "typer", "apscheduler", "numpy", "smtplib")
"""What children load: settings, records, senders."""


def test_it_loads_nothing_that_takes_memory() -> None:
    """Neither pydantic nor what sends; benchmarks/notify.py has the figure."""
    code = "import daemon.commands.notify, daemon.face.notify.process, sys; "
    code += f"print([module for module in {HEAVY} if module in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
