"""Asking the daemon for something, where the settings let the page: first a question, then what it answers."""

from dataclasses import dataclass

from daemon.core.control import NotRunningError, RequestRefusedError, ask_for
from daemon.core.request import Request
from daemon.core.states import Job, State
from daemon.core.web_plan import Action
from daemon.face.web.asking import Asked, NotThereError, Page
from daemon.face.web.finding import job_of, open_store

_WITHIN = 1.5
"""Seconds that the daemon may take: the page waits no longer."""


@dataclass(frozen=True)
class Question:
    """What the page asks before it asks the daemon."""

    job: Job
    action: Action
    question: str
    token: str


@dataclass(frozen=True)
class Answered:
    """What the daemon said."""

    job: Job
    answer: str
    is_done: bool


def possible(job: Job, asked: Asked) -> tuple[Action, ...]:
    """Return what the page lets people do with a job as it is."""
    fitting = {
        Action.CANCEL: not job.state.is_over,
        Action.RETRY: job.state in {State.FAILED, State.CANCELLED},
        Action.PROMOTE: job.state is State.DONE,
    }
    return tuple(action for action in asked.site.web.actions if fitting[action])


def question(token: str, asked: Asked) -> Page:
    """Return the page that asks. Raises NotThereError, StoreError."""
    job, action = wanted(asked)
    if action not in possible(job, asked):
        raise NotThereError(asked.say("not_now_possible", job=job.label, state=asked.words.say("states", job.state)))
    title = asked.words.say("questions", action, job=f"{job.id} {job.name}")
    return Page("question.html", title, Question(job, action, title, token), tab="jobs")


def done(reason: str, by: str, asked: Asked) -> Page:
    """Ask the daemon, and return what it answered. Raises NotThereError, StoreError."""
    job, action = wanted(asked)
    try:
        answer = ask_for(asked.site.root.path, Request(action, job.id, reason=reason, by=by), timeout=_WITHIN)
    except (NotRunningError, RequestRefusedError) as error:
        return Page("answered.html", asked.say("not_done"), Answered(job, str(error), False), tab="jobs", status=409)
    return Page("answered.html", asked.say("asked_for"), Answered(job, answer, True), tab="jobs")


def wanted(asked: Asked) -> tuple[Job, Action]:
    """Return what the address is about. Raises NotThereError, StoreError."""
    try:
        action = Action(asked.place["action"])
    except ValueError:
        raise NotThereError(asked.say("nothing_here")) from None
    if action not in asked.site.web.actions:
        raise NotThereError(asked.say("not_allowed", action=action))
    with open_store(asked) as store:
        return job_of(store, asked), action
