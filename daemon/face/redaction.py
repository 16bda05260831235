"""The text of a configuration without the values that are not shown: by where its parser says that they stand."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from handlers.hidden_keys import MARK, HiddenKeys

_LONGEST = 1 << 18
"""Characters that are parsed; a longer text is told line by line."""
_MOST_EVENTS = 12_000
"""Twenty times what the longest stock configuration has; more would take longer than a page may."""
_DEEPEST = 100
_COMMENT = re.compile(r"(?:(?<=\s)|^)#[^\r\n]*", re.MULTILINE)
_TAG = re.compile(r"(?<=\s)!\S*[ \t]+\Z")
_LONGEST_TAG = 1000
_BREAK = re.compile("[\\r\\n]")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")


@dataclass(frozen=True)
class Redacted:
    """What can be shown."""

    text: str
    is_parsed: bool
    """Otherwise it was told line by line, with more left out than has to be."""


def redacted(content: bytes, hidden: HiddenKeys) -> Redacted:
    """Return the text of a YAML file without the values of such keys, and without comments beside them."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    if len(text) <= _LONGEST:
        nodes = _nodes(text)
        if nodes is not None:
            return Redacted(_without(text, nodes, hidden), is_parsed=True)
    return Redacted("".join(_line_by_line(text, hidden)), is_parsed=False)


@dataclass
class _Node:
    """A value or a key, and where it stands in the text."""

    start: int
    end: int
    key: "_Node | None" = None
    """Whose value it is; None for keys and elements."""
    text: str | None = None
    """Of a scalar."""
    target: "_Node | None" = None
    """What an alias names."""
    within: "list[_Node]" = field(default_factory=list)
    """Keys too."""
    is_mapping: bool = False


def _nodes(text: str) -> "list[_Node] | None":
    """Return the nodes of a text in its order; None where it is no YAML, or too much of it."""
    found: list[_Node] = []
    open_: list[_Node] = []
    anchors: dict[str, _Node] = {}
    try:
        for number, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
            if number > _MOST_EVENTS or len(open_) > _DEEPEST:
                return None
            if isinstance(event, CollectionEndEvent):
                _close(open_.pop(), event, text)
            elif isinstance(event, NodeEvent):
                node = _node(event, anchors, text)
                if open_:
                    _put(node, open_[-1])
                found.append(node)
                if isinstance(event, CollectionStartEvent):
                    open_.append(node)
    except Exception:  # noqa: BLE001 - the parser meets text that nobody has looked at: then it is told line by line
        return None
    return found


def _node(event: NodeEvent, anchors: dict[str, _Node], text: str) -> _Node:
    start = event.start_mark.index
    if (tag := _TAG.search(text, max(0, start - _LONGEST_TAG), start)) is not None:  # `!tag &anchor value`
        start = tag.start()
    node = _Node(start, event.end_mark.index, is_mapping=isinstance(event, MappingStartEvent))
    if isinstance(event, AliasEvent):
        node.target = anchors[event.anchor]
        return node
    if isinstance(event, ScalarEvent):
        node.text = str(event.value)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


def _put(node: _Node, parent: _Node) -> None:
    if parent.is_mapping and len(parent.within) % 2:
        node.key = parent.within[-1]
    parent.within.append(node)


def _close(node: _Node, event: Event, text: str) -> None:
    """Let a collection end where its sign stands, or its last value: a block's end is where the next one begins."""
    is_sign = text[event.start_mark.index : event.end_mark.index] in {"}", "]"}
    node.end = event.end_mark.index if is_sign else max((child.end for child in node.within), default=node.end)


def _secret(nodes: Sequence[_Node], hidden: HiddenKeys) -> dict[int, _Node]:
    """Return, by identity, what is not shown: values of such keys, what is in them, and what they name by aliases."""
    found: dict[int, _Node] = {}
    waiting = [node for node in nodes if node.key is not None and _is_hidden(node.key, hidden)]
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found[id(node)] = node
            waiting += node.within if node.target is None else [node.target]
    return found


def _is_hidden(key: _Node, hidden: HiddenKeys) -> bool:
    if key.target is not None:
        return _is_hidden(key.target, hidden)
    return hidden.hides(key.text) if key.text is not None else any(_is_hidden(child, hidden) for child in key.within)


def _without(text: str, nodes: Sequence[_Node], hidden: HiddenKeys) -> str:
    secret = _secret(nodes, hidden)
    spans = _outermost(secret.values())
    leaves = [node for node in nodes if node.text is not None or node.target is not None]
    cuts = [(start, end, MARK) for start, end in spans]
    cuts += _comments(text, leaves, secret, spans, hidden)
    for leaf in leaves:
        written = text[leaf.start : leaf.end]
        if id(leaf) not in secret and (shown := hidden.in_text(written)) != written:
            cuts.append((leaf.start, leaf.end, shown))
    pieces, at = [], 0
    for start, end, instead in sorted(cuts):
        if start < at:
            continue
        cut = text[start:end]
        pieces += [text[at:start], instead, cut[len(cut.rstrip()) :]]
        at = end
    return "".join([*pieces, text[at:]])


def _outermost(nodes: Iterable[_Node]) -> list[tuple[int, int]]:
    """Return where nodes stand, in order: those that lie in others left out, and those of nothing."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(((node.start, node.end) for node in nodes), key=lambda span: (span[0], -span[1])):
        if end > start and (not found or start >= found[-1][1]):
            found.append((start, end))
    return found


def _comments(
    text: str,
    leaves: Sequence[_Node],
    secret: Mapping[int, _Node],
    spans: Sequence[tuple[int, int]],
    hidden: HiddenKeys,
) -> Iterator[tuple[int, int, str]]:
    """Yield what to put in the place of comments that stand beside what is not shown, or name it themselves."""
    ends = [end for _, end in spans]
    for before, after in pairwise([None, *leaves, None]):
        begin, until = before.end if before else 0, after.start if after else len(text)
        is_next_to = any(leaf is not None and id(leaf) in secret for leaf in (before, after))
        for match in _COMMENT.finditer(text, begin, max(begin, until)):
            place = bisect_right(ends, match.start()) - 1
            is_within = place + 1 < len(spans) and spans[place + 1][0] < match.start()
            if is_within:  # it goes with what it stands in
                continue
            is_beside = place >= 0 and not _BREAK.search(text, ends[place], match.start())
            end = hidden.end_of_name(match[0], assigned=False)
            if is_next_to or is_beside:
                yield match.start(), match.end(), f"# {MARK}"
            elif end is not None:
                yield match.start(), match.end(), f"{match[0][:end]}{MARK}"


def _line_by_line(text: str, hidden: HiddenKeys) -> Iterator[str]:
    """Yield the lines of what is no YAML: behind such a key nothing, nor what is indented more than its line is.

    Where quotation marks or brackets are open there they may close anywhere: the rest of the text is not shown. An
    alias behind such a key may name any anchor, whose values are not shown then either.
    """
    lines = [line for line in _LINE.findall(text) if line]
    ends = [hidden.end_of_name(line, assigned=False) for line in lines]
    has_alias = any(end is not None and "*" in line[end:] for line, end in zip(lines, ends, strict=True))
    deeper: int | None = None
    signs: Counter[str] = Counter()
    for line, end in zip(lines, ends, strict=True):
        signs.update({sign: line.count(sign) for sign in "\"'{}[]"})
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if deeper is not None and (not stripped or indent > deeper or stripped.startswith("#")):
            yield line if not stripped else f"{line[:indent]}{MARK}\n"
            continue
        deeper = None
        cut = end
        if has_alias and "&" in line:
            cut = min(line.index("&"), len(line) if end is None else end)
        if cut is None:
            yield line
            continue
        deeper = indent
        yield f"{line[:cut].rstrip()} {MARK}\n"
        if signs['"'] % 2 or signs["'"] % 2 or signs["{"] > signs["}"] or signs["["] > signs["]"]:
            yield f"{MARK}\n"
            return
