"""Which nodes an attempt is not to have: those that the attempts before it were lost on, or that were unfit.

It is a wish, not a condition: where Slurm has too few nodes without them the job has them anyway.
"""

from handlers.records.slurm import Intent

_EXCLUDE = "--exclude="


def is_leaving_out(intent: Intent) -> bool:
    """Say whether nodes are left out that somebody else would not."""
    return bool(intent.left_out) and not intent.in_vain


def sent_options(intent: Intent) -> tuple[str, ...]:
    """Return what sbatch gets: of two --exclude it takes the last, so the user's own nodes are in ours."""
    if not is_leaving_out(intent):
        return intent.options
    return (*intent.options, _EXCLUDE + ",".join(filter(None, (users_own(intent), *intent.left_out))))


def users_own(intent: Intent) -> str:
    """Return which nodes the user or the site leaves out; empty for none."""
    given = [one.removeprefix(_EXCLUDE) for one in intent.options if one.startswith(_EXCLUDE)]
    return given[-1] if given else ""


def left_out_text(intent: Intent) -> str:
    """Say which nodes are left out, and why; or why they are not. Empty where there are none."""
    nodes = ", ".join(f"{node} ({why})" for node, why in intent.left_out.items())
    if not nodes:
        return ""
    are = "are" if len(intent.left_out) > 1 else "is"
    return f"{nodes} {are} not left out: {intent.in_vain}" if intent.in_vain else f"without {nodes}"
