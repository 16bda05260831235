"""Prometheus' text format 0.0.4, as https://prometheus.io/docs/instrumenting/exposition_formats/ has it.

It is written here and not by prometheus_client, which takes 0.2 s and 14 MiB to import (docs/adr/0022); tests hold it
against that library's parser and promtool.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from daemon.face.metrics.family import Family, Sample, number_text

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def exposition(samples: Iterable[Sample], order: Iterable[Family]) -> bytes:
    """Return samples as text, each family once, in `order`."""
    place = {family: number for number, family in enumerate(order)}
    ordered = sorted(samples, key=lambda sample: place[sample.family])
    lines = (line for family, own in groupby(ordered, lambda sample: sample.family) for line in _family(family, own))
    return "".join(lines).encode("utf-8", "replace")


def _family(family: Family, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}\n"
    yield f"# TYPE {family.name} {family.type}\n"
    for sample in samples:
        labels = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in sample.labels)
        braces = f"{{{labels}}}" if labels else ""
        yield f"{family.name}{sample.suffix}{braces} {number_text(sample.value)}\n"
