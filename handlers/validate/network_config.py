"""What a run's MindFormers YAML says of its network, where it is a GLM that Hugging Face's libraries have too."""

import math
from pathlib import Path

from handlers.ckpt.planning.network import KEYS, KeyStyle, Network
from handlers.codes import Code
from handlers.mindformers.models import CHATGLM2
from handlers.validate.document import Place, parse
from handlers.validate.mindformers_rules import whole
from handlers.validate.problem import ConfigError, Findings, quoted

_KEYS = KEYS[KeyStyle.MINDFORMERS]


def read_network(root: Place, findings: Findings) -> Network:
    """Return what the file says; what is not said is not known, for defaults differ from version to version."""
    section = root.get("model", "model_config")
    kind = section and section.get("type")
    if kind is not None and kind.data != CHATGLM2.config:
        hint = f"for Hugging Face's libraries glmd writes {CHATGLM2.config}, which is GLM-2, GLM-3 and GLM-4-9B, so far"
        findings.problems.append(
            kind.problem(Code.MERGE_NO_COUNTERPART, f"{quoted(kind.data)} has no names there", hint)
        )

    def number(field: str) -> int | None:
        return whole(section, _KEYS[field], 0, findings) or None

    def flag(key: str) -> bool | None:
        place = section and section.get(key)
        if place is not None and not isinstance(place.data, bool):
            message = f"{quoted(place.data)} is neither True nor False"
            findings.problems.append(place.problem(Code.CONFIG_VALUE, message))
        return place.data if place is not None and isinstance(place.data, bool) else None

    def real(field: str) -> float | None:
        place = section and section.get(_KEYS[field])
        value = place.data if place is not None else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            return None
        return float(value)

    heads = number("heads")
    return Network(
        where=root.document.name,
        said=KeyStyle.MINDFORMERS,
        layers=number("layers"),
        hidden=number("hidden"),
        ffn=number("ffn"),
        vocabulary=number("vocabulary"),
        heads=heads,
        groups=heads if flag("multi_query_attention") is False else number("groups"),
        head_size=number("head_size"),
        bias=flag(_KEYS["bias"]),
        rearranged=flag(_KEYS["rearranged"]),
        epsilon=real("epsilon"),
        rope_ratio=real("rope_ratio"),
    )


def read_network_config(path: Path) -> Network:
    """Return what the YAML at `path` says; raises ConfigError, with lines and columns, and OSError."""
    document = parse(path.read_bytes(), str(path))
    findings = Findings([*document.problems])
    network = read_network(document.root, findings)
    if findings.problems:
        raise ConfigError(str(path), findings.problems)
    return network
