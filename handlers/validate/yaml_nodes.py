"""From YAML text to plain nodes: values with positions, anchors followed, nothing constructed, everything bounded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, Union

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from handlers.codes import Code
from handlers.validate.problem import Problem, quoted, visible
from handlers.validate.yaml_scalars import TAG, PyYamlResolver, Scalar, scalar

Data: TypeAlias = Union[Scalar, list["Data"], dict[Scalar, "Data"]]  # noqa: UP007 (`|` cannot name itself before 3.12)

MOST_NODES = 20_000
"""Thirty times what the longest stock YAML has; more would take seconds to read."""
_EXPANDED = 200_000
"""How many nodes there may be with every alias written out: what keeps a few lines from meaning billions of nodes."""
MOST_DEPTH = 50
_TOO_MANY = f"more than {MOST_NODES} values"


class YamlProblemError(Exception):
    """The text is no YAML that can be used; carries the problem, without its excerpt."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, eq=False)
class Node:
    """A value, where it stands (from 1), and what is in it. An alias is the very node that its anchor names."""

    data: Data
    line: int
    column: int
    text: str = ""
    """A scalar as it is written, without quotes."""
    entries: Mapping[Scalar, "Entry"] = field(default_factory=dict)
    elements: tuple["Node", ...] = ()
    flow: bool = False
    """Written as {…} or […]."""
    expanded: int = 1
    depth: int = 1


@dataclass(frozen=True, eq=False)
class Entry:
    """A key of a mapping and its value; `merged` when it came in through `<<`."""

    line: int
    column: int
    node: Node
    merged: bool = False


def as_mapping(node: Node, entries: Mapping[Scalar, Entry]) -> Node:
    """Return a mapping of `entries` in the place of `node`."""
    return replace(
        node,
        data={key: entry.node.data for key, entry in entries.items()},
        entries=entries,
        expanded=1 + sum(1 + entry.node.expanded for entry in entries.values()),
        depth=1 + max((entry.node.depth for entry in entries.values()), default=0),
    )


def as_list(node: Node, elements: tuple[Node, ...]) -> Node:
    """Return a list of `elements` in the place of `node`."""
    return replace(
        node,
        data=[element.data for element in elements],
        elements=elements,
        expanded=1 + sum(element.expanded for element in elements),
        depth=1 + max((element.depth for element in elements), default=0),
    )


def compose(text: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """Return the document in `text` (None where there is only comment) and what is wrong with it though it parses.

    Such are duplicate keys and tags that ask for objects. Raises YamlProblemError when there is no document to return:
    errors of syntax, several documents, too many nodes, too deep a nesting, aliases that expand without bounds.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = PyYamlResolver
    yaml.Composer = _BoundedComposer
    yaml.max_depth = MOST_DEPTH
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        raise YamlProblemError(_syntax_problem(error, text)) from error
    except Exception as error:  # the parser meets text that nobody has looked at, and must not end the daemon
        message = f"cannot be read as YAML: {type(error).__name__}: {error}"
        raise YamlProblemError(Problem(1, 1, "", message, code=Code.YAML_SYNTAX)) from error
    if root is None:
        return None, ()
    builder = _Builder()
    return builder.build(root, ""), tuple(builder.problems)


class _BoundedComposer(Composer):
    """Stops at the first node too many, before the rest of the text is read."""

    def __init__(self, loader: object = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # legal, and the later one counts from there on
        self.nodes = 0

    def compose_node(self, parent: object, index: object) -> YamlNode:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            mark = self.parser.peek_event().start_mark
            raise MarkedYAMLError(problem=_TOO_MANY, problem_mark=mark)
        node: YamlNode = super().compose_node(parent, index)
        return node


def _syntax_problem(error: MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
    message = " ".join(str(error.problem or error.context or "not valid YAML").split())
    start = line if error.context_mark is None else error.context_mark.line + 1
    hint = f"{error.context} that starts in line {start}" if error.context and error.context_mark else ""
    lines = text.splitlines()
    code = Code.YAML_SYNTAX
    if start <= len(lines) and lines[start - 1].lstrip().startswith("devices:"):
        hint = 'a set of devices needs quotes: devices: "[0,8)"'
    elif "'\\t'" in message:
        hint = "indent with blanks, not with tabs"
    elif "another document" in message:
        message, hint = "a second document starts here", "one file is one job: drop a file for each"
    elif "maximum depth" in message:
        code, message, hint = Code.YAML_TOO_COMPLEX, f"nested deeper than {MOST_DEPTH} levels", ""
    elif message == _TOO_MANY:
        code = Code.YAML_TOO_COMPLEX
    return Problem(line, column, "", message, hint, code=code)


class _Builder:
    """Turns ruamel's nodes into ours, each once, so that an alias costs nothing."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._built: dict[int, Node | None] = {}

    def build(self, source: YamlNode, where: str) -> Node:
        """Return the node for `source`, whose dotted key is `where`; raises YamlProblemError for an endless one."""
        key = id(source)
        if key not in self._built:
            self._built[key] = None
            self._built[key] = self._bounded(self._node(source, where), where)
        node = self._built[key]
        if node is None:
            line, column = _position(source)
            message, hint = "this value contains itself through an alias", "an alias may name what ended before it"
            raise YamlProblemError(Problem(line, column, where, message, hint, code=Code.YAML_TOO_COMPLEX))
        return node

    def _node(self, source: YamlNode, where: str) -> Node:
        if isinstance(source, MappingNode):
            self._check_tag(source, "map", where)
            return self._mapping(source, where)
        if isinstance(source, SequenceNode):
            self._check_tag(source, "seq", where)
            return self._sequence(source, where)
        return self._scalar(source, where)

    def _bounded(self, node: Node, where: str) -> Node:
        if node.expanded > _EXPANDED:
            message, hint = f"the aliases in it stand for more than {_EXPANDED} values", "write out what is meant"
        elif node.depth > MOST_DEPTH:
            message, hint = f"nested deeper than {MOST_DEPTH} levels", ""
        else:
            return node
        raise YamlProblemError(Problem(node.line, node.column, where, message, hint, code=Code.YAML_TOO_COMPLEX))

    def _mapping(self, source: MappingNode, where: str) -> Node:
        own: dict[Scalar, Entry] = {}
        merged: dict[Scalar, Entry] = {}
        merges = 0
        for key_source, value_source in source.value:
            if not isinstance(key_source, ScalarNode):
                self._problem(key_source, Code.YAML_KEY, where, "a key must be a plain text, not a collection")
                continue
            if str(key_source.tag) == TAG + "merge":
                merges += 1
                self._merge(self.build(value_source, _dotted(where, "<<")), merged, where)
                continue
            key = self._scalar(key_source, where)
            value = self.build(value_source, _dotted(where, key.text))
            if isinstance(key.data, dict | list):  # never: a scalar's data is a scalar
                continue
            if key.data in own:
                first = own[key.data].line
                message = f"duplicate key, first in line {first}"
                self._problem(key_source, Code.YAML_DUPLICATE_KEY, _dotted(where, key.text), message)
                continue
            own[key.data] = Entry(key.line, key.column, value)
        if merges > 1:
            hint = "write <<: [*one, *two]"
            self._problem(source, Code.YAML_MERGE_KEY, _dotted(where, "<<"), "duplicate merge key", hint)
        entries = {**merged, **own}
        line, column = _position(source)
        return as_mapping(Node({}, line, column, flow=bool(source.flow_style)), entries)

    def _merge(self, node: Node, into: dict[Scalar, Entry], where: str) -> None:
        """Add what `<<` names to `into`; of several mappings the first that has a key wins."""
        for mapping in node.elements or (node,):
            if not isinstance(mapping.data, dict):
                message = f"<< takes a mapping or a list of mappings, not {quoted(mapping.data)}"
                problem = Problem(mapping.line, mapping.column, _dotted(where, "<<"), message, code=Code.YAML_MERGE_KEY)
                self.problems.append(problem)
            for key, entry in mapping.entries.items():
                into.setdefault(key, Entry(entry.line, entry.column, entry.node, merged=True))

    def _sequence(self, source: SequenceNode, where: str) -> Node:
        elements = tuple(self.build(element, f"{where}[{index}]") for index, element in enumerate(source.value))
        line, column = _position(source)
        return as_list(Node([], line, column, flow=bool(source.flow_style)), elements)

    def _scalar(self, source: YamlNode, where: str) -> Node:
        line, column = _position(source)
        text = str(source.value)
        try:
            return Node(scalar(str(source.tag), text), line, column, text)
        except KeyError:
            self._check_tag(source, "str", where)
        except ValueError as error:
            self._problem(source, Code.YAML_TAG, where, f"{quoted(text)} is not what its tag says: {error}")
        return Node(None, line, column, text)

    def _check_tag(self, source: YamlNode, expected: str, where: str) -> None:
        tag = str(source.tag)
        if tag != TAG + expected:
            shown = "!!" + tag.removeprefix(TAG) if tag.startswith(TAG) else tag
            message = f"the tag {visible(shown, 60)} is not allowed"
            hint = "a configuration is made of texts, numbers, lists and mappings"
            self._problem(source, Code.YAML_TAG, where, message, hint)

    def _problem(self, source: YamlNode, code: Code, where: str, message: str, hint: str = "") -> None:
        line, column = _position(source)
        self.problems.append(Problem(line, column, where, message, hint, code=code))


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _position(source: YamlNode) -> tuple[int, int]:
    return source.start_mark.line + 1, source.start_mark.column + 1
