"""The formats of checkpoint files that glmd reads and writes."""

from collections.abc import Mapping

from handlers.ckpt.entry import Format
from handlers.ckpt.formats import CheckpointFormat, record, safetensors

FORMATS: Mapping[Format, CheckpointFormat] = {Format.CKPT: record, Format.SAFETENSORS: safetensors}
