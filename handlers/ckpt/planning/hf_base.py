"""The model that was fine-tuned, as Hugging Face's libraries have it: a directory whose configuration the output gets.

Its weights are never read, nor copied: only files of configuration, of the tokenizer and of the code that comes with
the model.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import xxhash

from handlers.ckpt.codes import Code
from handlers.ckpt.errors import InconsistentError
from handlers.ckpt.files.bounded import read_bounded
from handlers.ckpt.planning.network import KEYS, KeyStyle, Names, Network

CONFIG = "config.json"
MOST_BYTES = 64 << 20
"""Of a file that is copied: a tokenizer has 20 MB."""
_MOST_FILES = 100
_COPIED = (".json", ".jinja", ".model", ".py", ".tiktoken", ".txt")
"""How the names of what is copied end; weights have other endings, but for their index."""
_INDEX = ".index.json"
"""Of weights."""
_OURS = {CONFIG, "manifest.json"}
"""What is written again."""
_LARGEST = 1e18
"""Of a real number: far above any that a model has."""
_TORCH_TYPES = {"BFloat16": "bfloat16", "Float16": "float16", "Float32": "float32"}
_TYPE_KEYS = ("dtype", "torch_dtype")
"""What transformers 5 and 4 call the weights' type."""


@dataclass(frozen=True)
class SideFile:
    """A file that the output gets beside the weights."""

    name: str
    size: int
    hash: str
    """xxh3_128 of its content, in hexadecimal digits."""
    path: Path | None = None
    """Where it is copied from; None where `content` is it."""
    content: bytes = b""

    @classmethod
    def of(cls, name: str, content: bytes, path: Path | None = None) -> "SideFile":
        """Describe a file with this content, which is kept in memory only where it lies nowhere else."""
        kept = b"" if path is not None else content
        return cls(name, len(content), xxhash.xxh3_128_hexdigest(content), path, kept)

    def read(self) -> bytes:
        """Return its content. Raises InconsistentError where it is no longer what was read first, and OSError."""
        if self.path is None:
            return self.content
        content = read_bounded(self.path, MOST_BYTES)
        if xxhash.xxh3_128_hexdigest(content) != self.hash:
            raise InconsistentError(f"{self.path} changed while the shards were merged", Code.CHANGED)
        return content


@dataclass(frozen=True)
class BaseModel:
    """A base model's directory."""

    directory: Path
    names: Names
    network: Network
    config: Mapping[str, object]
    """What config.json says."""
    config_file: SideFile
    files: tuple[SideFile, ...]
    """What is copied besides."""

    def side_files(self, type_: str) -> tuple[SideFile, ...]:
        """Return what the output gets, where its weights are of MindSpore's type `type_`: config.json says so then."""
        torch_type = _TORCH_TYPES.get(type_)
        if torch_type is None:
            raise InconsistentError(
                f"{self.network.where}: a model is of {', '.join(_TORCH_TYPES.values())}, but the weights are {type_}",
                Code.BASE_UNFIT,
            )
        keys = [key for key in _TYPE_KEYS if key in self.config] or [_TYPE_KEYS[1]]
        if all(self.config.get(key) == torch_type for key in keys):
            return (self.config_file, *self.files)
        config = dict(self.config) | dict.fromkeys(keys, torch_type)
        text = json.dumps(config, indent=2).encode() + b"\n"  # in ASCII: half of a surrogate pair is no UTF-8
        return (SideFile.of(CONFIG, text), *self.files)


def read_base(directory: Path) -> BaseModel:
    """Read the configuration in `directory`, and what else is copied.

    Raises InconsistentError where config.json is missing, is no GLM's that glmd knows, or asks for what the weights
    cannot be; DamagedFileError for a file that is none, or too large; and OSError.
    """
    path = directory / CONFIG
    try:
        content = read_bounded(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise InconsistentError(
            f"{path} is not there: name the directory of the base model (hf_base)", Code.BASE_UNFIT
        ) from error
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InconsistentError(f"{path}: it is no JSON: {error}", Code.BASE_UNFIT) from error
    if not isinstance(config, dict):
        raise InconsistentError(f"{path}: it is no JSON object", Code.BASE_UNFIT)
    names = _names(path, config)
    copied = [file for file in sorted(directory.iterdir()) if _is_copied(file.name) and file.is_file()]
    if len(copied) > _MOST_FILES:
        raise InconsistentError(
            f"{directory}: {len(copied)} files of it would be copied: is it a model's directory?", Code.BASE_UNFIT
        )
    files = tuple(SideFile.of(file.name, read_bounded(file, MOST_BYTES), file) for file in copied)
    network = _Config(path, KeyStyle(names), config).network()
    return BaseModel(directory, names, network, config, SideFile.of(CONFIG, content, path), files)


def _is_copied(name: str) -> bool:
    if name in _OURS or name.endswith(_INDEX) or name[0] == "." or not name.isprintable():
        return False
    return name.endswith(_COPIED)


def _names(path: Path, config: Mapping[str, object]) -> Names:
    """Tell whose names the model has, and refuse what glmd's weights would be wrong for."""
    model = config.get("model_type")
    if model == Names.CHATGLM and "position_encoding_2d" in config:
        raise InconsistentError(
            f"{path}: it is a GLM-6B's (position_encoding_2d); glmd gives Hugging Face's names to GLM-2, GLM-3 and "
            "GLM-4-9B so far",
            Code.BASE_UNFIT,
        )
    if not isinstance(model, str) or model not in set(Names):
        raise InconsistentError(
            f"{path}: model_type is {str(model)[:60]!r}: glmd writes models of 'glm' (transformers' own) and 'chatglm'",
            Code.BASE_UNFIT,
        )
    if config.get("quantization_config") is not None:
        raise InconsistentError(
            f"{path}: it has a quantization_config, but the weights are not quantized: name the base model that is not",
            Code.BASE_UNFIT,
        )
    if model == Names.GLM:
        _check_rotary(path, config)
    return Names(model)


def _check_rotary(path: Path, config: Mapping[str, object]) -> None:
    """Refuse another part of each head than the half that GLM turns by its position."""
    inner = config.get("rope_parameters")
    factor = (inner if isinstance(inner, dict) else {}).get("partial_rotary_factor")
    factor = config.get("partial_rotary_factor", 0.5) if factor is None else factor
    if factor != 0.5:
        raise InconsistentError(
            f"{path}: partial_rotary_factor is {str(factor)[:20]}, but in MindFormers' GLM it is 0.5", Code.BASE_UNFIT
        )


@dataclass(frozen=True)
class _Config:
    """config.json, its values read one by one."""

    path: Path
    style: KeyStyle
    members: Mapping[str, object]

    def network(self) -> Network:
        """Return what it says of the network."""
        return Network(
            where=str(self.path),
            said=self.style,
            layers=self._number("layers"),
            hidden=self._number("hidden"),
            ffn=self._number("ffn"),
            vocabulary=self._number("vocabulary"),
            heads=self._number("heads"),
            groups=self._number("groups") if self._is_grouped() else self._number("heads"),
            head_size=self._number("head_size"),
            bias=self._flag("bias"),
            tied=self._flag("tied"),
            epsilon=self._real(KEYS[self.style]["epsilon"]),
            rope_ratio=self._rope_ratio(),
        )

    def _is_grouped(self) -> bool:
        return self.style is KeyStyle.GLM or self.members.get("multi_query_attention") is not False

    def _number(self, field: str) -> int | None:
        key = KEYS[self.style][field]
        value = self.members.get(key)
        if value is not None and type(value) is not int:
            raise self._unusable(key, value)
        return value

    def _flag(self, field: str) -> bool | None:
        key = KEYS[self.style][field]
        value = self.members.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._unusable(key, value)
        return value

    def _real(self, key: str, members: Mapping[str, object] | None = None) -> float | None:
        value = (self.members if members is None else members).get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LARGEST:
            raise self._unusable(key, value)
        return float(value)

    def _rope_ratio(self) -> float | None:
        """Return by how much the wave lengths of positions are longer than with a base of 10000."""
        if self.style is not KeyStyle.GLM:
            return self._real("rope_ratio")
        inner = self.members.get("rope_parameters")
        theta = self._real("rope_theta", inner if isinstance(inner, dict) and "rope_theta" in inner else None)
        return None if theta is None else theta / 10000

    def _unusable(self, key: str, value: object) -> InconsistentError:
        return InconsistentError(f"{self.path}: {key} is {str(value)[:40]!r}, which it cannot be", Code.BASE_UNFIT)
