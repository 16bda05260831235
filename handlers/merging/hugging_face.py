"""What a merge for Hugging Face's libraries goes by: the base model, and what the training's YAML says."""

from handlers.ckpt import HuggingFace, InconsistentError, Names, OutputFormat, read_base
from handlers.ckpt.codes import Code
from handlers.records.merge_plan import MergePlan


def hugging_face(plan: MergePlan) -> HuggingFace | None:
    """Return what `plan` asks for; None where it is for MindFormers.

    Raises handlers.ckpt.CkptError for a base model that cannot be one, and OSError.
    """
    if plan.format is not OutputFormat.HUGGINGFACE:
        return None
    base = read_base(plan.hf_base) if plan.hf_base is not None else None
    if base is not None and plan.hf_names not in {None, base.names}:
        raise InconsistentError(
            f"{base.network.where}: model_type is {base.names.value!r}, whose names are not those of "
            f"{plan.hf_names!s:.20}, which are asked for: leave that out, or name another base model",
            Code.BASE_UNFIT,
        )
    names = plan.hf_names or (base.names if base is not None else Names.GLM)
    networks = (base.network if base is not None else None, plan.network)
    return HuggingFace(names, tuple(network for network in networks if network is not None), base)
