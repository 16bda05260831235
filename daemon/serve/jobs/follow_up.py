"""What follows a step that did not come to its end."""

import subprocess
from dataclasses import replace

from daemon.core.checking import checked_again
from daemon.core.root import Root
from daemon.core.settings import Settings
from daemon.core.states import Job
from daemon.serve.jobs.attempts import past_attempt
from daemon.serve.jobs.prepare import prepare
from daemon.serve.steps.slurm.leaving_out import left_out_text
from daemon.serve.steps.slurm.submission import SlurmRecords, read
from handlers.errors import HandlerError
from handlers.host.service_manager import runs_this_host
from handlers.rank_log.advice import filled_in
from handlers.records.job_dir import Step
from handlers.records.slurm import Intent
from handlers.resume.decision import Decision, Ending, Failure, GiveUp, Resume, TakenUp, as_begun, decide


def follow_up(job: Job, step: Step, failure: Failure, settings: Settings, root: Root) -> Decision | None:
    """Decide what follows `step` of the present attempt of `job`, and prepare the next one where there is to be one.

    Doing it again is harmless. None leaves it to the daemon after the reboot. Raises OSError or ValidationError.
    """
    if failure.ending is Ending.STOPPED and host_goes_down():
        return None
    if step is Step.MERGE:
        return GiveUp(failure.reason)
    try:
        checked = checked_again(job, settings, root, is_resumed=True)
        directory = job.directory(root.path)
        past = past_attempt(job, directory, checked, failure)
        decision = decide(past, checked.section.resume.attempts)
        if isinstance(decision, Resume):
            following = replace(job, attempt=job.attempt + 1)
            prepare(following, settings, root, tries=past.next_tries)
            decision = as_begun(decision, TakenUp.read(directory.resume_record(following.attempt)), failure.reason)
            if (intent := read(Intent, SlurmRecords(directory, following.attempt).intent)) and (
                text := left_out_text(intent)
            ):
                decision = replace(decision, reason=f"{decision.reason}; {text}")
    except HandlerError as error:
        return GiveUp(f"{failure.reason}; not tried again: {error}")
    return replace(decision, reason=filled_in(decision.reason, job=job.id))


def host_goes_down() -> bool:
    """Say whether systemd is shutting this host down, and has ended the step for that reason."""
    if not runs_this_host():
        return False
    try:
        answer = subprocess.run(
            ["systemctl", "is-system-running"], capture_output=True, text=True, timeout=30, check=False  # noqa: S607 - as in daemon.serve.steps.runner
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.stdout.strip() == "stopping"
