"""What each entry of a set is to a training: a weight, a scalar, or state that is kept of another parameter.

PREFIX.NAME, where NAME is another parameter of the set, is state of NAME, whatever the prefix, if all that begins with
the prefix is state: `transformer.lm_head.weight` is a weight, since other names that begin with `transformer.` are
nobody's state. The set is what all ranks and pipeline stages have saved.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from handlers.ckpt.entry import TEXT, Entry, Family, shape
from handlers.ckpt.state_names import State, is_listed, named_state

Shapes = Mapping[str, tuple[int, ...] | None]
"""Of entries, by name; None where only the name is known."""

_MOST_PARTS = 8
"""Of a prefix: a bound for names that somebody made up. Real ones have one or two."""
_TAKEN = frozenset({Family.WEIGHTS, Family.SCALARS})
"""What no prefix may be called."""


@dataclass(frozen=True, slots=True)
class Families:
    """What the entries of a set are."""

    of: Mapping[str, str]
    """Each entry's family, which is what `keep` goes by: a Family, or the prefix of state that no list names."""
    states: Mapping[str, State]
    """What of them is state."""

    def parameter(self, name: str) -> str:
        """Return what `name` is kept of in the end, also through state of state; itself where it is no state."""
        while name in self.states and self.states[name].of:
            name = self.states[name].of
        return name

    def __str__(self) -> str:
        """Return which there are, as `340 weights, 680 optimizer (adam_m, adam_v), 12 ema`."""
        counts = Counter(self.of.values())
        prefixes = sorted({state.prefix for name, state in self.states.items() if self.of[name] == Family.OPTIMIZER})
        notes = {Family.OPTIMIZER.value: f" ({', '.join(prefixes)})"}
        return ", ".join(f"{counts[family]} {family}{notes.get(family, '')}" for family in ordered(counts))


def families_of(entries: Mapping[str, Entry]) -> Families:
    """Judge the entries of a set."""
    shapes = {name: () if entry.type == TEXT else shape(entry.dims) for name, entry in entries.items()}
    states = states_in(shapes)
    prefixes = {state.prefix for state in states.values()}
    called = {prefix: Family.OPTIMIZER if is_listed(prefix) else prefix for prefix in prefixes}
    found: dict[str, str] = {}
    for name, dims in shapes.items():
        state = states.get(name)
        if state is not None:
            found[name] = called[state.prefix]
        else:
            found[name] = Family.SCALARS if _is_scalar(dims) else Family.WEIGHTS
    return Families(found, states)


def states_in(shapes: Shapes) -> dict[str, State]:
    """Return what is state among the entries of a set.

    Names are sorted by what stands before their first dot: one weight there, and all of them are weights. Scalars are
    no argument, neither for nor against: an average counts its updates, and steps are called alike everywhere.
    """
    found: dict[str, State] = {}
    trees: dict[str, dict[str, State]] = {}
    weights: set[str] = set()
    for name, dims in shapes.items():
        state = named_state(name)
        if state is not None:
            found[name] = state
            continue
        top, dot, _ = name.partition(".")
        if not dot or top in weights:
            continue
        state = _twin(name, dims, shapes)
        if state is not None:
            trees.setdefault(top, {})[name] = state
        elif not _is_scalar(dims):
            weights.add(top)
    for top, states in trees.items():
        if top not in weights and not all(_is_scalar(shapes[name]) for name in states):
            found.update(states)
    return found


def _twin(name: str, dims: tuple[int, ...] | None, shapes: Shapes) -> State | None:
    """Return the parameter that `name` may be kept of: the longest one that it ends with."""
    dot = -1
    for _ in range(_MOST_PARTS):
        dot = name.find(".", dot + 1)
        if dot < 0:
            return None
        of = name[dot + 1 :]
        if of in shapes and name[:dot] not in _TAKEN and _is_kept_of(dims, shapes[of]):
            return State(name[:dot], of)
    return None


def _is_kept_of(dims: tuple[int, ...] | None, whole: tuple[int, ...] | None) -> bool:
    """Tell whether a training may keep `dims` of a parameter: its own, or what is left of it after reductions.

    A rank may hold a slice of one of them and all of the other.
    """
    if dims is None or whole is None or dims == whole or _is_scalar(dims):
        return True
    if len(dims) == len(whole):
        return all(min(pair) > 0 and max(pair) % min(pair) == 0 for pair in zip(dims, whole, strict=True))
    left = iter(whole)
    return all(size in left for size in dims)


def _is_scalar(dims: tuple[int, ...] | None) -> bool:
    return dims is not None and math.prod(dims) == 1


def ordered(families: Iterable[str]) -> tuple[str, ...]:
    """Return families, each once: the three that every list knows, then the others by name."""
    given = set(families)
    return (*(family for family in Family if family in given), *sorted(given - set(Family)))


def keep_name(text: str) -> str:
    """Return a family that somebody wants to keep; raises ValueError for what can be none."""
    name = text.removesuffix(".")
    if name in set(Family):
        return name
    choice = "write 'weights', 'scalars' or 'optimizer', or the prefix of a family that is none of these, as 'ema'"
    if is_listed(name):
        raise ValueError(f"{text!r} is optimizer state, which is kept as a whole: {choice}")
    from difflib import get_close_matches  # noqa: PLC0415 - a merge that keeps what all keep does without

    meant = get_close_matches(name.lower(), list(Family), n=1, cutoff=0.7)
    if meant:
        raise ValueError(f"{text!r} is no family; did you mean {str(meant[0])!r}?")
    if not name or not name.isprintable() or any(letter in name for letter in " ,"):
        raise ValueError(f"{text!r} is no family: {choice}")
    return name
