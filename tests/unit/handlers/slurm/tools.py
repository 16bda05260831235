"""Programs in Slurm's place, which answer whatever a test wants."""

from pathlib import Path

from handlers.slurm.calling import Commands
from handlers.slurm.client import SlurmClient

NAMES = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")


class Tools:
    """Programs in Slurm's place."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": "/root", "SLURM_JOB_ID": "7", "MY_TOKEN": "secret"}

    def say(self, tool: str, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        """Let a program answer."""
        (self.place / f"{tool}.out").write_text(stdout)
        (self.place / f"{tool}.err").write_text(stderr)
        path = self.place / tool
        told = f'echo "$@" >{path}.argv; env >{path}.env'
        path.write_text(f"#!/bin/sh\n{told}; cat {path}.out; cat {path}.err >&2; exit {code}\n")
        path.chmod(0o755)

    @property
    def commands(self) -> Commands:
        """Where they are."""
        return Commands(**{name: str(self.place / name) for name in NAMES})

    @property
    def client(self) -> SlurmClient:
        """Who asks them."""
        return SlurmClient(self.commands, self.environment)

    def argv(self, tool: str) -> str:
        """Return what a program was called with."""
        return (self.place / f"{tool}.argv").read_text().strip()

    def scontrol(self, job: str, hosts: dict[str, str]) -> None:
        """Let scontrol show `job`, and the names in each list of hosts."""
        cases = "".join(f"'show hostnames {names}') echo '{told}';;\n" for names, told in hosts.items())
        path = self.place / "scontrol"
        (self.place / "scontrol.job").write_text(job)
        path.write_text(f'#!/bin/sh\ncase "$*" in\n"-d show job 9") cat {path}.job;;\n{cases}*) exit 1;; esac\n')
        path.chmod(0o755)
