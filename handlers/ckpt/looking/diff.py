"""Where two checkpoints differ: in names, shapes, types, contents, order. In blocks, whatever their size.

Either side may be several files, as safetensors of a large model are, or a save that is not merged yet, and the formats
may differ: what is compared is the parameters, not their framing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from handlers.ckpt.codes import Code
from handlers.ckpt.copying.copy import Progress
from handlers.ckpt.copying.replicas import ComparedContent
from handlers.ckpt.copying.sources import Sources
from handlers.ckpt.entry import ITEM_SIZES, REDUNDANCY, TEXT, Entry, Format, shape
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.files.opening import reopened
from handlers.ckpt.files.transfer import scatter
from handlers.ckpt.formats.walk import walk
from handlers.ckpt.planning.plan import Parameter, Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 1 << 20
"""Bytes compared at once; a multiple of every item size."""

_FLOATS = {"Float16": "<f2", "Float32": "<f4", "Float64": "<f8", "Complex64": "<c8", "Complex128": "<c16"}
"""numpy's names of the types that have a distance; BFloat16, which numpy lacks, comes besides."""


@dataclass(frozen=True, slots=True)
class Described:
    """A parameter that the two sides describe differently; contents are not compared then."""

    name: str
    a: str
    """Type and shape, as `Float16[8, 32]`."""
    b: str


@dataclass(frozen=True, slots=True)
class Content:
    """A parameter of one shape and type whose contents differ."""

    name: str
    type: str
    dims: tuple[int, ...]
    first: int
    """The first element that differs, counted in the flat tensor."""
    count: int
    """How many elements differ, by their bits: a NaN equals the same NaN, and 0.0 differs from -0.0."""
    elements: int
    max_abs: float | None
    """The greatest distance of two finite elements; None where the type is no floating one, or none are finite."""
    not_finite: int
    """How many of the elements that differ are infinite or no number on a side."""

    @property
    def index(self) -> tuple[int, ...]:
        """Where the first element that differs is, along each dimension."""
        rest, index = self.first, []
        for size in reversed(self.dims):
            rest, at = divmod(rest, size)
            index.append(at)
        return tuple(reversed(index))


@dataclass(frozen=True)
class Difference:
    """All that differs between two checkpoints."""

    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    described: tuple[Described, ...]
    contents: tuple[Content, ...]
    reordered: str | None
    """The first common parameter that stands elsewhere. Not looked for between formats: safetensors' order is free."""
    metadata: Mapping[str, tuple[str | None, str | None]]
    """What safetensors say of themselves and differ in: key → a's value and b's."""
    compared: int
    """How many parameters were compared byte by byte."""

    @property
    def same(self) -> bool:
        """Tell whether nothing differs."""
        found = (self.only_a, self.only_b, self.described, self.contents, self.metadata)
        return self.reordered is None and not any(found)


def diff(a: Sequence[Path] | Plan, b: Sequence[Path] | Plan, progress: Progress | None = None) -> Difference:
    """Compare two checkpoints; `progress` gets the bytes compared so far and in all.

    Each is the files it consists of, or the plan of a merge with `transformed`, which stands for all that its shards
    hold. Raises DamagedFileError, InconsistentError where a side has a parameter twice, a file changes meanwhile, or
    ranks that must hold the same do not, and OSError.
    """
    with ExitStack() as stack:
        one, two = _side(a, stack), _side(b, stack)
        common = [name for name in one.places if name in two.places]
        described = [found for name in common if (found := _described(one.entry(name), two.entry(name)))]
        comparable = [name for name in common if name not in {difference.name for difference in described}]
        compared = _Comparison(one, two, sum(one.entry(name).nbytes for name in comparable), progress)
        contents = tuple(content for name in comparable if (content := compared.content(name)))
        has_order = bool(one.formats) and one.formats == two.formats
        return Difference(
            only_a=tuple(name for name in one.places if name not in two.places),
            only_b=tuple(name for name in two.places if name not in one.places),
            described=tuple(described),
            contents=contents,
            reordered=_reordered(common, two) if has_order else None,
            metadata=_metadata(one, two) if has_order else {},
            compared=len(comparable),
        )


class _Thing(Protocol):
    """What is known of a parameter without its content."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def dims(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...


class _Side(Protocol):
    """One checkpoint, open."""

    @property
    def formats(self) -> Collection[Format]:
        """Of its files; none where order and metadata are nobody's: of a save that is not merged."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the files say of themselves."""
        ...

    @property
    def places(self) -> Mapping[str, int]:
        """The parameters, in order; which number each has is the side's own matter."""
        ...

    def entry(self, name: str) -> _Thing:
        """Return what is known of a parameter."""
        ...

    def read(self, name: str, start: int, view: memoryview) -> None:
        """Fill `view` from byte `start` of a parameter on; each is read once, first byte to last."""
        ...


def _side(what: Sequence[Path] | Plan, stack: ExitStack) -> _Side:
    return _Save(what, stack) if isinstance(what, Plan) else _Files(what, stack)


class _Save:
    """The shards of a save that is not merged."""

    def __init__(self, plan: Plan, stack: ExitStack) -> None:
        when = "while it was compared"
        descriptors = {rank: stack.enter_context(reopened(file, when)) for rank, file in plan.shards.items()}
        self._sources = Sources(plan.shards, descriptors)
        self._has_strategy = plan.strategy is not None or bool(plan.described_by)
        self._parameters = {parameter.name: parameter for parameter in plan.transformed}
        self._content: ComparedContent | None = None
        self.formats: set[Format] = set()
        self.metadata: Mapping[str, str] = {}
        self.places = {name: at for at, name in enumerate(self._parameters)}

    def entry(self, name: str) -> Parameter:
        return self._parameters[name]

    def read(self, name: str, start: int, view: memoryview) -> None:
        if start == 0 or self._content is None:
            self._content = ComparedContent(self._parameters[name], self._sources, strategy=self._has_strategy)
        self._content.fill(view)


class _Files:
    """The files of one checkpoint, open."""

    def __init__(self, paths: Sequence[Path], stack: ExitStack) -> None:
        self._files = [walk(path) for path in paths]
        self._descriptors = [stack.enter_context(reopened(file, "while it was compared")) for file in self._files]
        self.formats = {file.format for file in self._files}
        self.metadata = {key: text for file in self._files for key, text in file.metadata.items()}
        self.places: dict[str, int] = {}
        """Which file each parameter is in, in order."""
        for index, file in enumerate(self._files):
            for name in file.entries:
                if name in self.places:
                    other = self._files[self.places[name]].path
                    raise InconsistentError(
                        f"{file.path}: {name}: it is in {other} too: which one is meant?", Code.ENTRIES_DIFFER
                    )
                self.places[name] = index

    def entry(self, name: str) -> Entry:
        return self._files[self.places[name]].entries[name]

    def read(self, name: str, start: int, view: memoryview) -> None:
        index = self.places[name]
        scatter(self._descriptors[index], self.entry(name).extents, start, (view,), self._files[index].path)


def _described(a: _Thing, b: _Thing) -> Described | None:
    one, two = _description(a), _description(b)
    return Described(a.name, one, two) if one != two else None


def _description(entry: _Thing) -> str:
    # A text's length stands nowhere but in its bytes.
    length = f" of {entry.nbytes} bytes" if entry.type == TEXT else ""
    return f"{entry.type}{list(shape(entry.dims))}{length}"


def _reordered(common: Sequence[str], two: _Side) -> str | None:
    kept = set(common)
    theirs = [name for name in two.places if name in kept]
    return next((name for name, other in zip(common, theirs, strict=True) if name != other), None)


def _metadata(one: _Side, two: _Side) -> dict[str, tuple[str | None, str | None]]:
    """Compare what safetensors say of themselves, but for CRCs, which are of bytes, and what belongs to a tensor.

    Nor does it count whether a file left out replicas: which names it has does.
    """
    keys = sorted(
        (one.metadata.keys() | two.metadata.keys()) - {"crc_num", REDUNDANCY} - one.places.keys() - two.places.keys()
    )
    values = {key: (one.metadata.get(key), two.metadata.get(key)) for key in keys}
    return {key: (a, b) for key, (a, b) in values.items() if a != b}


class _Comparison:
    """Two buffers, block by block."""

    def __init__(self, one: _Side, two: _Side, size: int, progress: Progress | None) -> None:
        self._sides = one, two
        self._buffers = bytearray(BLOCK), bytearray(BLOCK)
        self._size = size
        self._progress = progress
        self._done = 0

    def content(self, name: str) -> Content | None:
        """Compare a parameter's contents; return how they differ, if they do."""
        entry = self._sides[0].entry(name)
        item_size = ITEM_SIZES[entry.type]
        found = _Found(entry.type)
        for start, length in self._blocks(entry.nbytes):
            for side, buffer in zip(self._sides, self._buffers, strict=True):
                side.read(name, start, memoryview(buffer)[:length])
            one, two = self._buffers
            # Whole byte arrays are compared by memcmp, views element by element.
            if (one != two) if length == BLOCK else (one[:length] != two[:length]):
                found.look(one, two, start // item_size, length // item_size)
        if found.first is None:
            return None
        elements = entry.nbytes // item_size
        return Content(
            name, entry.type, shape(entry.dims), found.first, found.count, elements, found.max_abs, found.not_finite
        )

    def _blocks(self, size: int) -> Iterator[tuple[int, int]]:
        for start in range(0, size, BLOCK):
            length = min(BLOCK, size - start)
            yield start, length
            self._done += length
            if self._progress is not None:
                self._progress(self._done, self._size)


class _Found:
    """What was found in a parameter so far."""

    def __init__(self, type_: str) -> None:
        self._type = type_
        self.first: int | None = None
        self.count = 0
        self.max_abs: float | None = None
        self.not_finite = 0

    def look(self, one: bytearray, two: bytearray, start: int, elements: int) -> None:
        """Compare `elements` elements at the buffers' beginnings, which are from `start` on in the parameter."""
        import numpy as np  # noqa: PLC0415 - only where something differs

        item_size = ITEM_SIZES[self._type]
        unequal = np.frombuffer(one, f"V{item_size}", elements) != np.frombuffer(two, f"V{item_size}", elements)
        where = np.flatnonzero(unequal)
        if not where.size:
            return
        if self.first is None:
            self.first = start + int(where[0])
        self.count += int(where.size)
        a, b = (_numbers(self._type, buffer, elements) for buffer in (one, two))
        if a is None or b is None:
            return
        finite = np.isfinite(a[where]) & np.isfinite(b[where])
        self.not_finite += int(where.size - np.count_nonzero(finite))
        if finite.any():
            with np.errstate(over="ignore"):  # two Float64 may be further apart than any Float64
                distance = float(np.abs(a[where][finite] - b[where][finite]).max())
            self.max_abs = distance if self.max_abs is None else max(self.max_abs, distance)


def _numbers(type_: str, buffer: bytearray, elements: int) -> "NDArray[np.inexact] | None":
    """Return the buffer's first elements, wide enough for their distances; None where the type has none."""
    import numpy as np  # noqa: PLC0415 - as above

    if type_ == "BFloat16":  # the upper half of a Float32
        return (np.frombuffer(buffer, "<u2", elements).astype("<u4") << 16).view("<f4").astype("<f8")
    if type_ not in _FLOATS:
        return None
    wide = "<c16" if type_.startswith("Complex") else "<f8"
    return np.frombuffer(buffer, _FLOATS[type_], elements).astype(wide)
