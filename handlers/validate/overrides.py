"""`glmd: overrides:` of a dropped YAML: dotted keys that are set in its configuration before it is checked and runs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches

from handlers.codes import Code
from handlers.validate.document import Document, Place
from handlers.validate.glmd_section import KEY, OVERRIDES, read_section
from handlers.validate.problem import ConfigError, Problem, quoted, visible
from handlers.validate.written_out import written_out
from handlers.validate.yaml_nodes import MOST_DEPTH, MOST_NODES, Entry, Node, as_list, as_mapping

_SHOWN = 60


@dataclass(frozen=True)
class Overridden:
    """A file with its overrides put in: what is checked, and what runs."""

    document: Document
    """Places in it that were overridden are where the override stands."""
    set_keys: tuple[str, ...] = ()
    """The dotted keys that were set, in the order of the file."""
    problems: tuple[Problem, ...] = ()

    def config(self, max_bytes: int) -> bytes:
        """Return what runs: the file without its `glmd:` section, byte for byte where nothing was overridden.

        Else it is written again: of its comments and anchors nothing is left. Raises ConfigError where the section
        cannot be cut out, and for more than `max_bytes`.
        """
        if not self.set_keys:
            return self.document.without(KEY)
        place = self.document.root[KEY][OVERRIDES]
        if self.document.node.expanded > MOST_NODES or self.document.node.depth > MOST_DEPTH:
            what = f"with all aliases written out there are more than {MOST_NODES} values, or {MOST_DEPTH} levels"
            raise self._too_much(place, what)
        data = {name: entry.node.data for name, entry in self.document.node.entries.items() if name != KEY}
        notes = [visible(f"  {key}", _SHOWN) for key in self.set_keys]
        content = written_out(data, ["Written by glmd, with what the overrides of the file say:", *notes])
        if len(content) > max_bytes:
            raise self._too_much(place, f"with all aliases written out the file has more than {max_bytes} bytes")
        return content

    def _too_much(self, place: Place, what: str) -> ConfigError:
        hint = "change the file itself, which keeps its aliases"
        return ConfigError(self.document.name, [place.key_problem(Code.YAML_TOO_COMPLEX, what, hint)])


class _WrongError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def with_overrides(document: Document) -> Overridden:
    """Return `document` with what its overrides say, as far as they fit in; what does not is among the problems.

    A key has to be there up to its last part, as for `run_mindformer.py --a.b=value`; elements of lists go by their
    number. What an alias names elsewhere stays as it is.
    """
    overrides = document.root.get(KEY, OVERRIDES)
    if overrides is None or not isinstance(overrides.data, dict) or OVERRIDES in read_section(document.root)[1]:
        return Overridden(document)
    node, done, problems = document.node, [], list(_overlapping(overrides))
    for place in overrides if not problems else ():
        try:
            node = _put(node, _parts(place), place)
            done.append(place.name)
        except _WrongError as error:
            problems.append(error.problem)
    return Overridden(replace(document, node=node), tuple(done), tuple(problems))


def _overlapping(overrides: Place) -> Iterator[Problem]:
    """Yield a problem for each key that lies in what another one sets."""
    names = {place.name for place in overrides}
    for place in overrides:
        parts = place.name.split(".", MOST_DEPTH)
        outer = next((".".join(parts[:end]) for end in range(1, len(parts)) if ".".join(parts[:end]) in names), None)
        if outer is not None:
            message, hint = f"lies in {quoted(outer, _SHOWN)}, which is overridden too", "write it there"
            yield place.key_problem(Code.CONFIG_OVERRIDE, message, hint)


def _parts(place: Place) -> list[str]:
    parts = place.name.split(".")
    if not all(parts) or parts[0] == KEY or len(parts) > MOST_DEPTH:
        what = "is glmd's own section: write it there" if parts[0] == KEY else "is no dotted key: write it as a.b"
        raise _WrongError(place.key_problem(Code.CONFIG_OVERRIDE, what))
    return parts


def _put(node: Node, parts: list[str], place: Place, done: str = "") -> Node:
    """Return `node` with the value at `place` under the key of these parts; raises _WrongError."""
    first, *rest = parts
    where = done or "the file"
    if isinstance(node.data, list):
        index = next((number for number in range(len(node.elements)) if str(number) == first), None)
        if index is None:
            hint = f"{where} is a list of {len(node.elements)}, counted from 0"
            raise _WrongError(place.key_problem(Code.CONFIG_OVERRIDE, f"has no element {quoted(first, _SHOWN)}", hint))
        within = _put(node.elements[index], rest, place, _dotted(done, first)) if rest else place.entry.node
        return as_list(node, (*node.elements[:index], within, *node.elements[index + 1 :]))
    if not isinstance(node.data, dict):
        message = f"{where} is {quoted(node.data)}, and has no keys"
        raise _WrongError(place.key_problem(Code.CONFIG_OVERRIDE, message))
    if not rest:
        return as_mapping(node, {**node.entries, first: place.entry})
    if first not in node.entries:
        close = get_close_matches(first, [str(key) for key in node.entries], n=1)
        hint = (
            f"did you mean `{_dotted(done, visible(close[0], _SHOWN))}`?" if close else "only the last part may be new"
        )
        message = f"{quoted(first, _SHOWN)} is not a key of {where}"
        raise _WrongError(place.key_problem(Code.CONFIG_OVERRIDE, message, hint))
    entry = node.entries[first]
    within = _put(entry.node, rest, place, _dotted(done, first))
    return as_mapping(node, {**node.entries, first: Entry(entry.line, entry.column, within, entry.merged)})


def _dotted(done: str, key: str) -> str:
    return f"{done}.{key}" if done else key
