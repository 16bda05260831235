"""What the daemon writes into the store beside the jobs themselves: nights, notices, promotions, prunings."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from daemon.core import night_runs, notices, promotions, prunings
from daemon.core.database import transaction
from daemon.core.night_runs import NightRun
from daemon.core.notices import Notice, NoticeKind
from daemon.core.promotions import Kind, Promotion
from daemon.core.prunings import Pruning
from daemon.core.read_store import ReadStore
from daemon.core.states import Job, State
from handlers.run_names import run_name


class HistoryWrites(ReadStore):
    """The part of daemon.core.store.Store that knows no transitions."""

    # Nightly cycles

    def set_last_due(
        self, cycle: str, due: datetime, cron: str = "", timezone: str = "", runs: Iterable[NightRun] = ()
    ) -> None:
        """Remember that nightly `cycle` is done with the time `due`, counted by `cron` in the zone of that name.

        What became of it, and of times before it, are the `runs`: all of that is kept, or nothing.
        """
        with transaction(self._connection):
            night_runs.count(self._connection, cycle, due, cron, timezone)
            for run in runs:
                self._keep_night(run)

    def forget_cycles(self, keep: Collection[str]) -> None:
        """Forget all nightly cycles but those in `keep`."""
        kept = ",".join("?" * len(keep))
        with transaction(self._connection):
            self._connection.execute(f"DELETE FROM nightly WHERE name NOT IN ({kept})", tuple(keep))  # noqa: S608 - all ours
            notices.pass_other_cycles(self._connection, keep, datetime.now(UTC))

    def keep_night(self, run: NightRun) -> None:
        """Keep what became of a time at which a cycle was due, in place of what was known of it before.

        Its job is found by its name, where the dropped file is one already. What there is to tell of it is told.
        """
        with transaction(self._connection):
            self._keep_night(run)

    def _keep_night(self, run: NightRun) -> None:
        if run.job is None and run.outcome.has_file:
            job = self.newest_named(run_name(run.cycle, run.due))
            run = replace(run, job=job.id if job else None)
        night_runs.keep(self._connection, run)
        notices.take_note(self._connection, run)

    # Notices

    def add_notice(self, notice: Notice) -> bool:
        """Tell of something, once while it lasts; return whether it was new."""
        with transaction(self._connection):
            return notices.add(self._connection, notice)

    def pass_notices(self, kind: NoticeKind, at: datetime) -> None:
        """Let what was told of this kind be no longer so."""
        notices.pass_kind(self._connection, kind, at)

    def _is_good(self, job: Job, at: datetime) -> None:
        """Let what was told of the nights of a cycle up to that of `job` be no longer so."""
        if job.cycle:
            notices.pass_cycle(self._connection, job.cycle, job.due, at)

    # Promotions

    def promote(self, promotion: Promotion) -> None:
        """Add a change of what `latest/PREFIX` leads to."""
        # By itself, what has RETURNING is committed without a word of how that went.
        with transaction(self._connection):
            promotions.add(self._connection, promotion)
            job = None if promotion.job is None else self.readable(promotion.job)
            if promotion.kind is Kind.PROMOTION and job is not None and job.state is State.DONE:
                self._is_good(job, promotion.at)

    def roll_back(self, rollback: Promotion, to: Promotion) -> None:
        """Let `latest/PREFIX` lead to what `to` has promoted; what was promoted since is taken back."""
        with transaction(self._connection):
            promotions.roll_back(self._connection, rollback, to)

    def follow(self, promotion: Promotion) -> None:
        """Note that `latest/PREFIX` leads where `promotion` says."""
        promotions.follow(self._connection, promotion)

    # Prunings

    def end_pruning(self, pruning: Pruning) -> None:
        """Note that nothing is left of what was to be removed."""
        prunings.end(self._connection, pruning, datetime.now(UTC))

    def give_up_pruning(self, pruning: Pruning) -> None:
        """Forget a removal that is not to be continued."""
        prunings.give_up(self._connection, pruning)
