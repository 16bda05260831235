"""A configuration as a table of keys and values, without the values that are not shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from handlers.hidden_keys import MARK, HiddenKeys
from handlers.validate.document import parse
from handlers.validate.yaml_nodes import Node


@dataclass(frozen=True)
class Value:
    """What a key is set to."""

    shown: str
    compared: str = field(repr=False)
    """By which it is told from others, also where it is not shown."""


def values_of(content: bytes, name: str, hidden: HiddenKeys) -> Mapping[str, Value]:
    """Return the values of a configuration by dotted key, in its order. Raises ConfigError."""
    root = parse(content, name).root.entry.node
    return dict(_Table(root, hidden).rows(root, ""))


class _Table:
    def __init__(self, root: Node, hidden: HiddenKeys) -> None:
        self._hidden = hidden
        self._secret: set[int] = set()
        """The nodes that are not shown, wherever an alias names them."""
        self._holds: dict[int, bool] = {}
        self._find(root, is_secret=False, seen=set())

    def _find(self, node: Node, *, is_secret: bool, seen: set[tuple[int, bool]]) -> None:
        if (id(node), is_secret) in seen:
            return
        seen.add((id(node), is_secret))
        if is_secret:
            self._secret.add(id(node))
        for key, entry in node.entries.items():
            self._find(entry.node, is_secret=is_secret or self._hidden.hides(str(key)), seen=seen)
        for element in node.elements:
            self._find(element, is_secret=is_secret, seen=seen)

    def rows(self, node: Node, name: str) -> Iterator[tuple[str, Value]]:
        """Yield what is in a value, each with its dotted key."""
        if id(node) in self._secret:
            yield name, Value(MARK, str(node.data))
        elif node.entries:
            for key, entry in node.entries.items():
                yield from self.rows(entry.node, f"{name}.{key}" if name else str(key))
        elif self._is_shown_by_element(node):
            for number, element in enumerate(node.elements):
                yield from self.rows(element, f"{name}[{number}]")
        else:
            text = str(node.data)
            shown = self._hidden.in_text(text)
            yield name, Value(shown, text)

    def _is_shown_by_element(self, node: Node) -> bool:
        """Say whether a list is shown element by element: where one is a mapping, or something in it is not shown."""
        return any(element.entries for element in node.elements) or self._holds_secret(node)

    def _holds_secret(self, node: Node) -> bool:
        if id(node) not in self._holds:
            within = (*node.elements, *(entry.node for entry in node.entries.values()))
            self._holds[id(node)] = any(id(child) in self._secret or self._holds_secret(child) for child in within)
        return self._holds[id(node)]
