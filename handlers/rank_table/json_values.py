"""Takes values out of a JSON document and notes every one that is not as it must be, with its place."""

import json
import re


class JsonValues:
    """Reads on after a fault, so that all of them are told at once; what is wrong is read as empty."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._bare_numbers = False

    def all_problems(self) -> list[str]:
        """Return what is wrong; the commonest slip of hand-made files comes first, in one line."""
        if not self._bare_numbers:
            return self.problems
        return ['numbers stand without quotes; HCCL takes strings only, as "rank_id": "0"', *self.problems]

    def entry(self, value: object, where: str) -> dict[str, object]:
        """Return `value`, which must be a JSON object."""
        if isinstance(value, dict):
            return value
        self.problems.append(f"{where} must be an object, not {kind(value)}")
        return {}

    def items(self, values: dict[str, object], key: str, where: str) -> list[object] | None:
        """Return the list `key`, or None where it is none."""
        value = values.get(key)
        if isinstance(value, list):
            return value
        self.problems.append(f"{where}: {key} must be a list, not {kind(value)}")
        return None

    def text(self, values: dict[str, object], key: str, where: str, default: object = None) -> str:
        """Return the string `key`."""
        value = values.get(key, default)
        if isinstance(value, str):
            return value
        self._note_number(value)
        self.problems.append(f"{where}: {key} must be a string, not {show(value)}")
        return ""

    def number(self, values: dict[str, object], key: str, where: str) -> int:
        """Return the number in the string `key`."""
        value = values.get(key)
        if isinstance(value, str) and re.fullmatch(r"0|[1-9]\d{0,8}", value, re.ASCII):
            return int(value)
        self._note_number(value)
        self.problems.append(f'{where}: {key} must be a number in a string, as "0", not {show(value)}')
        return 0

    def count(self, values: dict[str, object], key: str, of: str, counted: int, where: str = "") -> None:
        """Check that `key` says how many there are of what `of` names."""
        value = values.get(key)
        if value == str(counted):
            return
        self._note_number(value)
        place = f"{where}: " if where else ""
        self.problems.append(f'{place}{key} must be "{counted}", {of}, not {show(value)}')

    def _note_number(self, value: object) -> None:
        self._bare_numbers |= isinstance(value, int | float) and not isinstance(value, bool)


def show(value: object) -> str:
    """Return a value for a message."""
    return "absent" if value is None else json.dumps(value)[:60]


def kind(value: object) -> str:
    """Return what kind of value this is."""
    kinds = {type(None): "absent", dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return kinds.get(type(value), "a number")
