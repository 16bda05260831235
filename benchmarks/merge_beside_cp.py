"""What parts of benchmarks/merge.py have in common: merging what is in the page cache beside a copy of the output."""

from pathlib import Path

from measuring import Contender, Report, in_turn, median, ratio
from merge_input import CP, Input, clear, describe


def beside_cp(report: Report, part: str, given: Input, copied: Path, rounds: int) -> None:
    """Merge `given` with hashes and without, and copy its output to `copied`, in turn."""

    def ready() -> None:
        given.clear()
        given.warm()

    def ready_to_copy() -> None:
        clear(copied)
        given.warm()

    contenders = {
        "glmd merge --no-hash": Contender(ready, given.glmd("--no-hash")),
        "glmd merge": Contender(ready, given.glmd()),
        "cp and sync of the output": Contender(ready_to_copy, (*CP, given.output, copied)),
    }
    plain, hashed, cp = in_turn(contenders, rounds).values()
    report.part(f"{part}: {describe(given)}, page cache warm, {rounds} rounds")
    for name, measured in zip(contenders, (plain, hashed, cp), strict=True):
        report.cost(name, median(measured))
    for name, measured, limit in (("without hashing", plain, 1.1), ("with hashing", hashed, 1.3)):
        found = ratio(measured, cp)
        report.figure(f"wall time over cp and sync, {name}", found, f"{limit} or less", met=found <= limit)
