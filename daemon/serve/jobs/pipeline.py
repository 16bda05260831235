"""The way of a job through its states.

`turn` looks at every job that is not over and takes the next step that its records allow. It keeps nothing that a
restart would need: a new daemon's first turn adopts the shims that run, reads the exits of those that ended, and
repeats what was not finished.
"""

import contextlib
import signal
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from daemon.core.life import Life
from daemon.core.living import Run
from daemon.core.may_pass import may_pass
from daemon.core.root import Root
from daemon.core.setting_sections import Preflight
from daemon.core.settings import Settings
from daemon.core.states import ACTIVE, ON_DEVICES, STEP_OF, Job, State
from daemon.core.store import DeviceTakenError, Store
from daemon.core.vanished import refuse_vanished
from daemon.serve.jobs.after_step import AfterStep
from daemon.serve.jobs.attempts import how_it_begins
from daemon.serve.jobs.champions import champions
from daemon.serve.jobs.evaluations import Evaluations
from daemon.serve.jobs.judging import Judging
from daemon.serve.jobs.latest_links import LatestLinks
from daemon.serve.jobs.moves import Moves
from daemon.serve.jobs.on_nodes import OnNodes
from daemon.serve.jobs.preflight import Go, Preflights, Refuse, Verdict, Wait
from daemon.serve.jobs.prepare import prepare
from daemon.serve.jobs.promoting import Promoting
from daemon.serve.jobs.runs import LOOK_EVERY, Runs
from daemon.serve.jobs.set_aside import SetAside
from daemon.serve.jobs.slurm_work import SlurmWork
from daemon.serve.jobs.startable import in_order, startable
from daemon.serve.jobs.starting import Starts
from daemon.serve.jobs.stuck_devices import free_devices
from daemon.serve.jobs.unfilled import why_never
from daemon.serve.jobs.writers import Writers
from daemon.serve.loop.faults import Faults
from daemon.serve.loop.waiting import Waiting
from daemon.serve.loop.workers import Workers
from daemon.serve.steps.runner import Runner
from handlers.error_codes import code_of
from handlers.errors import HandlerError
from handlers.records.job_dir import Step
from handlers.records.job_plan import JobPlan

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Pipeline:
    """Moves jobs on. Everything but the work handed to `workers` happens in the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        root: Root,
        store: Store,
        runner: Runner,
        waiting: Waiting,
        workers: Workers,
        faults: Faults,
    ) -> None:
        self.settings = settings
        self._root = root
        self._store = store
        self._faults = faults
        self._moves = Moves(root, store, waiting)
        self._preflights = Preflights(root, workers)
        self._is_anything_left = False
        """Whether a job that is over keeps devices locked: what is on them may be gone any moment."""
        self._runs = Runs(root, store, waiting)
        self._set_aside = SetAside(root, store, waiting)
        self._starts = Starts(root, runner, waiting, workers, faults, self._set_aside)
        self._writers = Writers(root, store, workers, faults, self._set_aside)
        self.links = LatestLinks(root, store, waiting, workers, faults)
        promoting = Promoting(root, store, self._moves, self.links, self._writers, faults)
        champion = champions(root, store)
        judging = Judging(
            root, store, self._moves, faults, self._writers, self._set_aside, promoting, champion
        )  # fmt: skip
        self._evaluations = Evaluations(
            root, store, waiting, faults, self._writers, self._preflights, self._set_aside, champion
        )  # fmt: skip
        self._after_step = AfterStep(
            root, store, runner, self._moves, faults, self._writers, self._set_aside, judging
        )  # fmt: skip
        slurm = SlurmWork(root, store, self._moves, workers, faults, self._set_aside)
        self._on_nodes = OnNodes(root, store, self._moves, slurm, self._after_step)

    def turn(self) -> None:
        """Take every step that can be taken now."""
        self.find_the_living()
        if not self._runs.are_known:
            return
        self._writers.stop_late()
        self.links.turn()
        for number in set(self._store.locks().values()):
            self._faults.attempt(f"devices of job {number}", partial(self._free_devices, number))
        self._start_waiting_jobs()
        active = self._store.jobs(ACTIVE)
        self._is_anything_left = not set(self._store.locks().values()) <= {job.id for job in active}
        runs = {Run.of(job, STEP_OF[job.state]) for job in active if job.state in STEP_OF}
        self._starts.keep(runs)
        self._runs.keep(runs)
        self._evaluations.keep(runs)
        self._after_step.keep(runs)
        self._on_nodes.keep(runs)
        for job in active:
            if job.state in STEP_OF:
                self._faults.attempt(
                    f"job {job.id}", partial(self._follow, job, STEP_OF[job.state]), partial(self._set_aside, job)
                )
            elif job.cancel:
                self._after_step.cancelled(job, " before its ranks were started")
            else:
                self._writers.submit(
                    job,
                    f"preparing job {job.id}",
                    partial(prepare, job, self.settings, self._root, own=self._bases(job)),
                    partial(self._prepared, job),
                )

    def find_the_living(self) -> None:
        """Take in what lives and the store knows nothing of; at first before anything else is done."""
        self._faults.attempt("what lives", partial(self._runs.settle, self.settings.training.grace))

    def close(self) -> None:
        """Let go of all shims; they go on."""
        self._runs.close()

    @property
    def is_waiting_for_a_shim(self) -> bool:
        """Whether one was started and has not said who it is, or died and it is not known of what: turn again soon."""
        return (
            self._starts.is_waiting_for_a_shim or self._runs.is_busy or self._after_step.is_waiting_for_a_cause
        )  # fmt: skip

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, a job is to be looked at again; None when none is."""
        due = (
            self._preflights.next_due(now),
            self._runs.next_due(now),
            self._on_nodes.next_due(now),
            now + LOOK_EVERY if self._is_anything_left else None,
        )
        return min((when for when in due if when is not None), default=None)

    # The steps

    def _start_waiting_jobs(self) -> None:
        locks = self._store.locks()
        waiting = in_order((*self._store.next_in_queue(), *self._evaluations.waiting(locks)))
        jobs = tuple(startable(waiting, {**locks, **self._runs.held()}))
        self._preflights.keep({job.id for job in jobs})
        for job in jobs:
            self._faults.attempt(f"job {job.id}", partial(self._start_waiting, job), partial(self._set_aside, job))

    def _start_waiting(self, job: Job) -> None:
        if job.cancel:  # it is cancelled as soon as that can be written
            return
        if job.state is State.EVALUATING:
            self._evaluations.take_devices(job, self.settings)
            return
        directory = job.directory(self._root.path)
        if job.nodes and not self._on_nodes.has_room(self.settings):
            self._store.explain(job, "waits until Slurm has fewer of glmd's jobs in its queue (slurm.submitted)")
        elif directory.submitted.exists() and self.settings.preflight is Preflight.OFF:
            self._moves.move(job, State.PREPARING)
        elif directory.submitted.exists():
            self._preflights.look(
                job,
                self.settings,
                self._writers.still(job, f"job {job.id}", partial(self._looked, job)),
                self._bases(job),
            )
        elif directory.plan.exists():
            self._moves.move(job, State.MERGING)
        elif never := why_never(job, self._store, self._root, self.settings):
            self._moves.move(job, State.FAILED, never.reason, never.code)
        # else the directory is still being filled by the one who added the job

    def _looked(self, job: Job, verdict: Verdict) -> None:
        match verdict:
            case Go() if self._runs.held().keys().isdisjoint(job.devices):
                with contextlib.suppress(DeviceTakenError):  # by a job that came to the front meanwhile
                    self._moves.move(job, State.PREPARING)
            case Go():  # they are not free after all
                pass
            case Wait(reason):
                self._store.explain(job, reason, verdict.code)
            case Refuse(reason):
                self._moves.move(job, State.FAILED, reason, verdict.code)

    def _prepared(self, job: Job, plan: Future[JobPlan]) -> None:
        if self._store.job(job.id).cancel:  # asked just now; the next turn ends it
            return
        try:
            planned = plan.result()
        except (HandlerError, OSError) as error:
            if may_pass(error):  # the job keeps its devices; a later turn prepares it again
                self._faults.failed(f"preparing job {job.id}", error)
                return
            self._moves.move(job, State.FAILED, str(error), code_of(error))
        else:
            self._faults.passed(f"preparing job {job.id}")
            if planned.train is not None:
                begins = how_it_begins(job, job.directory(self._root.path))
                if planned.base is not None:
                    begins = "; ".join(filter(None, (f"continues from {planned.base.told}", begins)))
                    job = replace(job, continues=planned.base.job)
                self._moves.move(job, State.SUBMITTED if job.nodes else State.TRAINING, begins)
            else:
                self._moves.move(job, State.MERGING, "nothing is left to train: an earlier attempt has the last save")

    def _follow(self, job: Job, step: Step) -> None:
        """Start the shim of `step`, or wait for its end, or act on how it ended."""
        run = Run.of(job, step)
        if self._on_nodes.has(job, step, self.settings, was_begun=self._starts.was_begun(run)):
            if self._on_nodes.rests(job, step, self.settings):
                return
            self._faults.attempt(f"directory of job {job.id}", partial(refuse_vanished, job, self._root))
            self._on_nodes.follow(job, step, self.settings)
            return
        if step is Step.EVALUATE:  # a look at its processes wants the devices that it has now
            mine = tuple(device for device, number in self._store.locks().items() if number == job.id)
            job = replace(job, devices=mine)
        if self._starts.is_yet_to_begin(run) and not job.cancel:
            return
        found = self._runs.of(job, step, self.settings.training.grace, was_begun=self._starts.was_begun(run))
        if found.life is Life.NONE:
            self._wait_for_the_shim(job, step)
            return
        self._starts.came_up(run)
        if found.shim is not None:
            self._faults.attempt(f"directory of job {job.id}", partial(refuse_vanished, job, self._root))
            if job.cancel or (step is not Step.TRAIN and self._runs.is_homeless(job)):
                found.shim.signal(signal.SIGTERM)  # again with every turn, which does no harm
            if step is Step.EVALUATE and job.nodes and not job.devices:
                self._on_nodes.tell_of_evaluation(job, self.settings)
        elif found.life is not Life.ENDING:
            self._faults.passed(f"directory of job {job.id}")
            self._after_step.act(job, step, found, self.settings)

    def _wait_for_the_shim(self, job: Job, step: Step) -> None:
        """Start the shim of `step`, again when it is late, or give it up when it is long so."""
        if job.cancel:  # not simply moved: a shim may come up yet
            self._starts.cancel(job, step)
        elif self._starts.was_begun(Run.of(job, step)):
            self._starts.handle_late(job, step)
        elif step is not Step.EVALUATE or self._evaluations.may_begin(job, self.settings, self._store.locks()):
            if step in ON_DEVICES:
                self._runs.refuse_taken_devices(job)
            self._starts.begin(job, step)

    # Small parts

    def _bases(self, job: Job) -> dict[str, Path]:
        return self._store.bases_of(job.cycle, self._root.path)

    def _free_devices(self, number: int) -> None:
        if job := self._store.readable(number):  # else nobody knows what is on them
            free_devices(job, self._store, self._root)
