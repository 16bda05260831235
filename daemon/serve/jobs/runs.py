"""What has become of each run of a step, by the kernel before any file; and who lives that the store does not know.

A shim that is followed runs as long as its process does. Before a run counts as over, or as never begun, the tables of
processes and locks are asked; what a shim has left is ended before anything follows.
"""

import errno
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from daemon.core.life import Life, life
from daemon.core.living import Living, Run, living, working_on
from daemon.core.root import Root
from daemon.core.states import ON_DEVICES, Job
from daemon.core.store import DeviceTakenError, Store, TransitionError
from daemon.core.vanished import is_there, refuse_absent_jobs
from daemon.serve.jobs.forgotten import take_in_forgotten
from daemon.serve.jobs.taking_in import NotTakenInError, is_accounted_for, take_in
from daemon.serve.loop.waiting import Waiting
from daemon.serve.steps.leftovers import Leftovers
from daemon.serve.steps.shim_watch import Followed, ShimWatch
from handlers.records.job_dir import JobDir, Step
from handlers.records.process import ProcessIdentity
from handlers.records.step_exit import Survivor
from handlers.shim.marks import has_lost_its_lock
from handlers.shim.survivors import describe, operator_needed

LOOK_EVERY = 1.0
"""Seconds between two looks at what lives: directories that vanish, runs that have no place in the store."""


@dataclass(frozen=True)
class Found:
    """What has become of a run."""

    life: Life
    shim: ProcessIdentity | None = None
    """Who works for it."""
    ended: tuple[int, ...] = ()
    """The pids of what it left, which was ended."""
    stuck: tuple[Survivor, ...] = ()
    """What it left, and even KILL did not end."""


class Runs:
    """Knows what becomes of runs. For the loop's thread."""

    def __init__(self, root: Root, store: Store, waiting: Waiting) -> None:
        self._root = root
        self._store = store
        self._watch = ShimWatch(root, waiting)
        self._leftovers = Leftovers()
        self._unplaced: dict[Run, Living] | None = None
        self._has_all_jobs = False
        self._looked: dict[Run, float] = {}

    @property
    def are_known(self) -> bool:
        """Whether it was found what lived when this daemon started: nothing is to be begun before."""
        return self._unplaced is not None

    @property
    def is_busy(self) -> bool:
        """Whether something that was left is being ended: turn again soon."""
        return self._leftovers.is_busy

    def next_due(self, now: float) -> float | None:
        """Return when, on the monotonic clock, to look again; None when nothing lives."""
        return now + LOOK_EVERY if self._watch.all or self._unplaced else None

    def held(self) -> Mapping[int, int]:
        """Return the devices of all that is known to live, whatever the store says: device → job."""
        unplaced = (self._unplaced or {}).values()
        return {
            **{device: one.run.job for one in self._watch.all if one.run.step in ON_DEVICES for device in one.devices},
            **{device: one.run.job for one in unplaced if one.run.step in ON_DEVICES for device in one.devices},
        }

    # What the store does not know

    def settle(self, grace: float) -> None:
        """Take in what lives and the store knows nothing of. Raises OSError for what has no place there, yet or ever.

        That keeps its devices anyway, until it ends. What a shim has left, and no job knows of, is ended, `grace`
        seconds after TERM by KILL.
        """
        if self._unplaced is None:
            self._unplaced = {one.run: one for one in living(self._root)}
        for one in self._watch.all:
            self._unplaced.setdefault(one.run, _living(one, self._root))
        living_jobs = {run.job for run in self._unplaced}
        refused = [why for run in tuple(self._unplaced) if (why := self._place(run, self._unplaced, grace))]
        if not self._has_all_jobs:
            take_in_forgotten(self._root, self._store, living_jobs)
            self._has_all_jobs = not self._unplaced
        if refused:
            raise OSError(errno.EBUSY, f"{'; '.join(refused)}; the devices stay locked until that has ended")

    def _place(self, run: Run, unplaced: dict[Run, Living], grace: float) -> str:
        """Give a run its place in the store; return why it gets none, empty where it needs none any more."""
        one = unplaced[run]
        shim = one.shim if one.shim is not None and one.shim.alive() else None
        others = tuple(other for other in one.others if other.alive())
        if (shim is None and not others) or is_accounted_for(self._row(run), one, self._store.locks()):
            del unplaced[run]
            return ""
        if shim is None:
            unplaced[run] = replace(one, shim=None, others=others)
            self._leftovers.end(run, others, grace)
            return f"{run.label}: pid {', '.join(str(other.pid) for other in others)} is left of its {run.step}"
        try:
            take_in(one, self._store)
        except (NotTakenInError, DeviceTakenError, TransitionError) as error:
            return f"{run.label}: its {run.step} runs (pid {shim.pid}), and {error}"
        del unplaced[run]
        return ""

    def _row(self, run: Run) -> Job | None:
        try:
            return self._store.job(run.job)
        except KeyError:
            return None

    # What the store knows

    def of(self, job: Job, step: Step, grace: float, *, was_begun: bool) -> Found:
        """Return what has become of `step` of the present attempt of `job`. Raises OSError where that is not known yet.

        `was_begun` when its shim was started a moment ago, and has not come up yet.
        """
        if (followed := self._watch.of(job, step)) is not None:
            return Found(Life.RUNNING, followed.identity)
        status, shim = life(job.directory(self._root.path).step(job.attempt, step))
        if status is not Life.RUNNING and self._is_due(job, step, was_begun=was_begun and status is Life.NONE):
            there = self._there(job, step)
            shim = next((one.shim for one in there if (one.run.attempt, one.run.step) == (job.attempt, step)), None)
            if shim is None:
                return self._over(job, step, status, there, grace)
        if shim is not None:
            self._watch.follow(job, step, shim)
            return Found(Life.RUNNING, shim)
        return Found(status)

    def _is_due(self, job: Job, step: Step, *, was_begun: bool) -> bool:
        """Say whether to look into the tables; while a shim comes up, that is done once in a while."""
        run, now = Run.of(job, step), time.monotonic()
        if was_begun and now - self._looked.get(run, 0.0) < LOOK_EVERY:
            return False
        self._looked = {run: now}
        return True

    def _there(self, job: Job, step: Step) -> tuple[Living, ...]:
        """Return what lives of `job` and must not be there when `step` begins or is over."""
        # Whatever a training has left keeps its devices, and does not disturb the merge.
        return tuple(one for one in living(self._root, job.id) if step is Step.TRAIN or one.run.step is step)

    def _over(self, job: Job, step: Step, status: Life, there: tuple[Living, ...], grace: float) -> Found:
        """Return what has become of a run that no shim works for, having ended what is left of it."""
        if shims := [one for one in there if one.shim is not None]:
            raise OSError(errno.EBUSY, f"attempt {shims[0].run.attempt} still runs (pid {shims[0].pids[0]})")
        left = tuple(other for one in there for other in one.others)
        run = Run.of(job, step)
        if left and not self._leftovers.end(run, left, grace):
            return Found(Life.ENDING)
        ended = self._leftovers.of(run)
        stuck = describe([one.pid for one in left], {})
        if status is Life.NONE and stuck:
            raise OSError(errno.EBUSY, operator_needed(stuck))
        if status is Life.NONE and (self._watch.was_there(job, step) or self._has_begun(job, step)):
            status = Life.DIED
        if not is_there(job, self._root):
            refuse_absent_jobs(self._root)
            status = Life.VANISHED
        return Found(status, ended=ended, stuck=stuck)

    def _has_begun(self, job: Job, step: Step) -> bool:
        """Say whether ranks of the present attempt were started: what they began is not to be begun once more."""
        directory = job.directory(self._root.path)
        return step is Step.TRAIN and directory.step(job.attempt, step).lock.exists() and directory.output.exists()

    def keep(self, present: Collection[Run]) -> None:
        """Forget all runs but these and those without a place in the store."""
        self._leftovers.forget({*present, *(self._unplaced or ())})

    def refuse_taken_devices(self, job: Job) -> None:
        """Raise OSError while another job's processes are on the devices of `job`, whatever the store says."""
        for one in working_on(self._root, job.devices):
            if one.run.job != job.id:
                pids = ", ".join(map(str, one.pids))
                who = "processes of the evaluation" if one.run.step is Step.EVALUATE else "the ranks"
                raise OSError(errno.EBUSY, f"{who} of {one.run.label} are on its devices still (pid {pids})")

    def is_homeless(self, job: Job) -> bool:
        """Say whether the directory of `job` was removed under the shim that is followed, and not only moved."""
        if is_there(job, self._root):
            return False
        return any(one.run.job == job.id and has_lost_its_lock(one.identity.pid) for one in self._watch.all)

    def close(self) -> None:
        """Let go of all shims; they go on."""
        self._watch.close()


def _living(followed: Followed, root: Root) -> Living:
    directory = JobDir(root.jobs / followed.run.label)
    return Living(followed.run, directory, followed.identity, (), followed.devices)
