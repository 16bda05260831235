"""What a file must say whose output is for Hugging Face's libraries: a night's training must not end at its merge."""

from pathlib import Path

from handlers.ckpt import CkptError, OutputFormat, read_base
from handlers.ckpt.planning.lora_fate import Lora
from handlers.ckpt.planning.network import check_agreement
from handlers.codes import Code
from handlers.validate.document import Place
from handlers.validate.glmd_section import KEY, GlmdSection
from handlers.validate.input_paths import check_readable
from handlers.validate.lora_config import adapters
from handlers.validate.network_config import read_network
from handlers.validate.problem import Findings, quoted


def check_hugging_face(root: Place, section: GlmdSection, findings: Findings) -> None:
    """Find what the merge would refuse, as far as it can be seen before the training."""
    wish = section.merge
    if wish.format is not OutputFormat.HUGGINGFACE:
        return
    network = read_network(root, findings)
    asked = adapters(root)
    if asked is not None and wish.lora is Lora.KEEP:
        message = "the adapters would stay beside their weights, for which Hugging Face's model has no names"
        findings.problems.append(asked.section.problem(Code.CONFIG_LORA, message, "write `glmd: merge: lora: merge`"))
    place = root.get(KEY, "merge", "hf_base")
    directory = check_readable(place, findings, directory_only=True) if place is not None else None
    if place is None or directory is None:
        return
    try:
        base = read_base(Path(directory))
        check_agreement((base.network, network))
    except CkptError as error:
        findings.problems.append(place.problem(Code(error.code), str(error)))
        return
    except OSError as error:
        message = f"{quoted(str(error.filename or directory), 300)}: {error.strerror}"
        findings.problems.append(place.problem(Code.CONFIG_PATH_UNREADABLE, message))
        return
    if wish.hf_names not in {None, base.names}:
        message = f"{base.network.where} is of model_type {base.names.value!r}, whose names are others"
        findings.problems.append(root[KEY]["merge"]["hf_names"].problem(Code.MERGE_BASE_UNFIT, message, "leave it out"))
