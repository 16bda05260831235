"""What a dropped file says of the gate: it can only tighten that of the settings, and names what the settings know."""

from collections.abc import Collection
from dataclasses import dataclass, field

from handlers.codes import Code
from handlers.gate.gate import MINDFORMERS, Gate
from handlers.gate.tightening import looser, tightened
from handlers.mindformers.dialect import Dialect
from handlers.validate.data_sets import check_evaluation_data
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY
from handlers.validate.problem import Findings, quoted

_ONLY_TIGHTER = "a dropped file can only tighten the gate of the settings"


@dataclass(frozen=True)
class GateRules:
    """What the settings say of the gate."""

    gate: Gate = field(default_factory=Gate)
    evaluations: Collection[str] = (MINDFORMERS,)
    """The names of those that there are."""


def check_gate(root: Place, wish: Gate, rules: GateRules, dialect: Dialect, findings: Findings) -> None:
    """Find out whether the gate that the file asks for fits that of the settings, and can be done."""
    for loosened in looser(rules.gate, wish):
        place = root.get(KEY, "gate", *loosened.keys) or root
        findings.problems.append(place.problem(Code.CONFIG_GATE, loosened.what, _ONLY_TIGHTER))
    if wish.evaluate is not None and wish.evaluate not in rules.evaluations:
        place = root.get(KEY, "gate", "evaluate") or root
        hint = f"the settings have {', '.join(rules.evaluations)}; what they run stands there alone"
        findings.problems.append(place.problem(Code.CONFIG_GATE, f"{quoted(wish.evaluate)} is no evaluation", hint))
    whole = tightened(rules.gate, wish)
    if whole.metrics and whole.evaluate is None:
        place = root.get(KEY, "gate", "metrics") or root
        message = "nothing measures them"
        findings.problems.append(place.key_problem(Code.CONFIG_GATE, message, "name an evaluation in `evaluate:`"))
    if whole.evaluate == MINDFORMERS:
        check_evaluation_data(root, dialect, findings)
