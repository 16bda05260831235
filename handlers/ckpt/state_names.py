"""Names that say by themselves that an entry is optimizer state, and of which parameter.

MindSpore's `Parameter.clone` and MindFormers' `clone_state` put a dot between prefix and name. What MindFormers' Came
and MindSpore's AdaFactor keep besides has `_` there, as in `exp_avg_sq_row_lm_head.weight`.
"""

import re
from dataclasses import dataclass

_OWN = frozenset(
    {
        "accu_grads",  # gradients: MindSpore's nn/wrap/cell_wrapper.py, MindFormers' wrapper.py, with pipeline stages
        "grad_accumulation",  # likewise: MindSpore's boost
        "exp_avg",  # MindFormers 1.x: core/optim/fused_adamw.py and came.py; MindSpore: mint and experimental/optim
        "exp_avg_sq",
        "max_exp_avg_sq",
        "muon_m",  # core/optim/muon.py
        "pma_weight_ema",  # core/optim/pma_adamw.py
        "pma_weight_sma",
        "lamb_m",  # MindSpore: nn/optim/lamb.py
        "lamb_v",
    }
)
"""Prefixes that no weight has. Those of AdamWeightDecay, `adam_m` and `adam_v`, are known by the `adam` in them."""

_COMMON = frozenset(
    {
        "moments",  # nn/optim/momentum.py, ftrl.py, thor.py
        "moment1",  # adam.py, adamax.py, lazyadam.py
        "moment2",
        "vhat",  # adam.py
        "accum",  # ada_grad.py, adadelta.py, sgd.py
        "accum_update",
        "stat",
        "linear",  # ftrl.py
        "mean_grad",  # rmsprop.py
        "mean_square",
        "moment",
        "prev",  # rprop.py
        "step_size",
        "ax",  # asgd.py
        "ax_",
        "exp_inf",  # experimental/optim/adamax.py
        "momentum_buf",  # mint/optim/sgd.py
    }
)
"""Prefixes of MindSpore's optimizers that a layer may be called as well: the set must bear them out."""

_FACTORED = re.compile(r"(exp_avg_(?:sq|insta)_(?:row|col)|exp_avg_sq)[._](.+)", re.DOTALL)
"""nn/optim/adafactor.py and core/optim/came.py."""


@dataclass(frozen=True, slots=True)
class State:
    """What a training keeps of a parameter besides its value."""

    prefix: str
    of: str
    """The parameter's name."""


def named_state(name: str) -> State | None:
    """Return what `name` says by itself; None where it says nothing. The filter by hand drops all with `adam` in it."""
    adam = name.find("adam")
    if adam >= 0:
        prefix = name[:adam] + name[adam:].partition(".")[0]
        return State(prefix, name[len(prefix) + 1 :])
    first, dot, rest = name.partition(".")
    if dot and first in _OWN:
        return State(first, rest)
    factored = _FACTORED.fullmatch(name) if name.startswith("exp_avg_") else None
    return State(factored[1], factored[2]) if factored is not None else None


def is_listed(prefix: str) -> bool:
    """Tell whether a list names the prefix, in whatever cell its optimizer may be."""
    last = prefix.rpartition(".")[2]
    return last in _OWN or last in _COMMON or "adam" in prefix or _FACTORED.fullmatch(f"{last}.x") is not None
