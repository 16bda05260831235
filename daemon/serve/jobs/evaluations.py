"""Evaluations: what each runs is planned, and one that wants devices waits for them like a job.

While it waits it holds none, so that nobody waits for it in turn. Its place is that of its job in the queue, by
priority and then by arrival, and what it waits for is not given to those behind it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from daemon.core.living import Run
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.setting_sections import EvaluationSettings, Preflight
from daemon.core.settings import Settings
from daemon.core.states import Job, State
from daemon.core.store import DeviceTakenError, Store
from daemon.serve.jobs.evaluating_on_a_node import wish_of
from daemon.serve.jobs.judging import gate_of
from daemon.serve.jobs.preflight import Go, Preflights, Refuse, Verdict, Wait
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.jobs.writers import Writers
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.steps.runner import forestall
from handlers.codes import Code
from handlers.error_codes import code_of
from handlers.errors import BadInputError, HandlerError
from handlers.gate.by_mindformers import by_mindformers
from handlers.gate.evaluation import Evaluation, publish_plan
from handlers.gate.gate import MINDFORMERS
from handlers.gate.on_a_node import on_a_node
from handlers.records.checked import Checked
from handlers.records.evaluation_plan import EvaluationPlan
from handlers.records.job_dir import JobDir, Step
from handlers.training.environment import inherited
from handlers.training.plan import EVALUATE, TrainRequest
from handlers.units.devices import format_devices


class Evaluations:
    """The evaluations that have not begun. For the loop's thread."""

    def __init__(
        self,
        root: Root,
        store: Store,
        waiting: Waiting,
        faults: Faults,
        writers: Writers,
        preflights: Preflights,
        set_aside: SetAside,
        champion: Callable[[Job], Path | None],
    ) -> None:
        self._root = root
        self._store = store
        self._waiting = waiting
        self._faults = faults
        self._writers = writers
        self._preflights = preflights
        self._set_aside = set_aside
        self._champion = champion
        self._plans: dict[Run, EvaluationPlan] = {}
        """Of those that are planned, and have not begun as far as it is known."""

    def keep(self, runs: Collection[Run]) -> None:
        """Forget all runs but these."""
        self._plans = {run: plan for run, plan in self._plans.items() if run in runs}

    def waiting(self, locks: Mapping[int, int]) -> Iterator[Job]:
        """Yield those that have not all devices that they want, each as its job with these devices."""
        for job in self._store.jobs([State.EVALUATING]):
            plan = self._plans.get(Run.of(job, Step.EVALUATE))
            if plan is not None and not job.cancel and any(locks.get(one) != job.id for one in plan.devices):
                yield replace(job, devices=plan.devices)

    def take_devices(self, job: Job, settings: Settings) -> None:
        """Let `job`, which `waiting` yielded, have its devices, if nothing prevents that."""
        if settings.preflight is Preflight.OFF:
            self._looked(job, Go())
            return
        self._preflights.look(job, settings, self._writers.still(job, f"job {job.id}", partial(self._looked, job)))

    def may_begin(self, job: Job, settings: Settings, locks: Mapping[int, int]) -> bool:
        """Say whether the shim of `job`, which is to be evaluated, can be started now; do what is to be done before."""
        plan = self._plans.get(Run.of(job, Step.EVALUATE))
        if plan is None:
            what = f"preparing the evaluation of job {job.id}"
            whole = self._store.job(job.id)  # with the devices that it has trained on
            work = partial(prepare_evaluation, whole, settings, self._root, self._champion(job))
            self._writers.submit(job, what, work, partial(self._prepared, job, what))
            return False
        if held := {one: locks[one] for one in plan.devices if locks.get(one, job.id) != job.id}:
            by = ", ".join(f"job {number}" for number in dict.fromkeys(held.values()))
            wanted = format_devices(plan.devices)
            self._store.explain(job, f"evaluation {plan.name} waits for devices {wanted}: held by {by}")
        return all(locks.get(one) == job.id for one in plan.devices)

    def _prepared(self, job: Job, what: str, planned: Future[EvaluationPlan]) -> None:
        try:
            plan = planned.result()
        except (HandlerError, OSError) as error:
            if may_pass(error):
                self._faults.failed(what, error)
            else:
                self._give_up(job, str(error), code_of(error))
            return
        except Exception as error:  # noqa: BLE001 - logged, and the job is set aside
            self._faults.defect(what, error, partial(self._set_aside, job))
            return
        self._faults.passed(what)
        self._plans[Run.of(job, Step.EVALUATE)] = plan
        if {one for one, number in self._store.locks().items() if number == job.id} != set(plan.devices):
            self._store.take_devices(replace(job, devices=()))  # those of an earlier plan
        wanted = f" waits for devices {format_devices(plan.devices)}" if plan.devices else ""
        if plan.name == MINDFORMERS and job.nodes and not plan.devices:
            wanted = " runs as a job of Slurm's, or waits in its queue"
        self._store.explain(job, f"evaluation {plan.name}{wanted}")
        self._waiting.wake()

    def _looked(self, job: Job, verdict: Verdict) -> None:
        match verdict:
            case Go():
                with suppress(DeviceTakenError):  # by a job that came to the front meanwhile
                    self._store.take_devices(job)
                self._waiting.wake()
            case Wait(reason):
                self._store.explain(job, reason, verdict.code)
            case Refuse(reason):
                self._give_up(job, reason, verdict.code)

    def _give_up(self, job: Job, reason: str, code: str) -> None:
        """Let the evaluation be one that failed; the next turn reads that."""
        records = job.directory(self._root.path).step(job.attempt, Step.EVALUATE)
        if forestall(records, Step.EVALUATE, reason, code=Code(code or Code.GATE_EVALUATION)):
            self._waiting.wake()


def prepare_evaluation(job: Job, settings: Settings, root: Root, champion: Path | None) -> EvaluationPlan:
    """Write what the evaluation of `job` is to run, and return it. Raises HandlerError and OSError."""
    directory = job.directory(root.path)
    name = gate_of(directory, settings).evaluate
    found = settings.evaluations.get(name or "", EvaluationSettings() if name == MINDFORMERS else None)
    if name is None or found is None:
        raise BadInputError(f"{name or 'it'} is not in the settings any more (evaluations)", Code.GATE_EVALUATION)
    evaluation = Evaluation(
        name=name,
        command=found.command,
        records=directory.step(job.attempt, Step.EVALUATE),
        merged=directory.merged,
        champion=_target(champion, directory.merged),
        environment={**inherited(), **settings.training.environment, **found.environment},
        devices=found.devices or (),
        timeout=found.timeout,
        grace=settings.training.grace,
    )
    if name == MINDFORMERS:
        evaluation = by_mindformers(evaluation, _request(job, settings, directory), is_free=found.devices is None)
        if job.nodes and found.devices is None:  # devices that the settings name are this host's
            evaluation = on_a_node(evaluation, wish_of(job, settings, root))
    return publish_plan(evaluation)


def _request(job: Job, settings: Settings, directory: JobDir) -> TrainRequest:
    try:
        checked = Checked.read(directory.checked)
    except (FileNotFoundError, ValidationError):  # of an older glmd, or damaged
        checked = None
    return TrainRequest(
        job_dir=directory,
        devices=job.devices,
        run_mode=EVALUATE,
        device_target="Ascend" if checked is None else checked.device_target,
        python=settings.training.python,
        checkout=settings.training.checkout,
        entry=settings.training.entry,
        register_path=None if checked is None or checked.register_path is None else Path(checked.register_path),
        extra_environment={
            **settings.training.environment,
            **settings.evaluations.get(MINDFORMERS, EvaluationSettings()).environment,
        },
    )


def _target(champion: Path | None, merged: Path) -> Path | None:
    """Return the output that `champion` leads to; None for none, and for the one that is evaluated."""
    if champion is None or not champion.exists():
        return None
    directory = champion.resolve()
    return None if directory == merged.resolve() else directory
