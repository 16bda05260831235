"""From a dropped file to a job, or to rejected/ with a reason.

Each claim goes through steps that may be repeated: the row in the store is found again by the claim's token, files are
published whole, and the claimed file goes away last. So a crash anywhere leaves a claim that the next start finishes.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from daemon.core.checking import remember
from daemon.core.may_pass import may_pass
from daemon.core.names import digest_of, job_name
from daemon.core.root import Root
from daemon.core.states import Job, State
from daemon.core.store import NewJob, Store
from daemon.core.users import User
from daemon.core.vanished import refuse_absent_jobs
from daemon.serve.intake.claims import (
    Claim,
    NotClaimableError,
    claim,
    discard,
    leftover_claims,
    read_claimed,
    reject,
    snapshot,
)
from daemon.serve.intake.halves import SameName, earliest, same_name, tell_the_other
from daemon.serve.intake.inbox import Inbox
from daemon.serve.intake.source import Moment
from daemon.serve.loop.faults import Defect, Faults, concerns_the_store
from daemon.serve.loop.workers import Lane, Workers
from handlers.ckpt.files.durable import make_directory, publish_bytes
from handlers.codes import Code
from handlers.errors import BadInputError
from handlers.events import job_log
from handlers.printable import printable
from handlers.run_names import is_run
from handlers.validate.check import CheckedConfig, Rules, check

log: structlog.stdlib.BoundLogger = structlog.get_logger()

RulesOfNow = Callable[[], Rules]
"""Returns what a file is compared with now, but for what its nightly cycle has promoted. Asked apart, for it looks at
the files of MindFormers."""


@dataclass(frozen=True)
class Accepted:
    """A dropped file that can be run: its bytes, and what the check found."""

    content: bytes
    checked: CheckedConfig
    owner: User
    """Whose the dropped file is."""

    @property
    def digest(self) -> str:
        """Tells whether the same bytes were dropped before."""
        return digest_of(self.content)


class Intake:
    """Takes settled files out of the inbox."""

    name = "inbox"

    def __init__(
        self, inbox: Inbox, root: Root, store: Store, workers: Workers, rules: RulesOfNow, faults: Faults
    ) -> None:
        self.inbox = inbox
        self.rules = rules
        self._root = root
        self._store = store
        self._workers = workers
        self._faults = faults

    def turn(self, now: Moment) -> None:
        """Go on with a scan of the inbox, and claim what has settled. After an OSError a rescan finds it again."""
        self.inbox.scan(now.monotonic)
        settled = self.inbox.settled(now.monotonic)
        if settled:
            self._root.refuse_foreign(self._root.inbox)
        for path in settled:
            try:
                self._take(path)
            except Exception as error:
                if may_pass(error) or concerns_the_store(error):
                    raise
                self._faults.defect(f"drop {printable(path.name)}", error, partial(self._leave_alone, path))

    def next_due(self, now: Moment) -> float | None:
        """Return when there is more to scan, or the next file may have settled; see WorkSource."""
        return self.inbox.next_due(now.monotonic)

    def _leave_alone(self, path: Path, defect: Defect) -> None:
        """Let a file lie that glmd itself failed to take, until it changes."""
        log.warning("drop_left_in_inbox", path=printable(path.name), code=defect.CODE, reason=defect.reason)
        self.inbox.leave_alone(path)

    def _take(self, path: Path) -> None:
        try:
            claimed = claim(path, self._root.claims)
        except NotClaimableError as error:
            self._leave(path, str(error), error.code)
        else:
            if claimed is not None:
                log.info("drop_claimed", path=printable(path.name), claim=claimed.token)
                self._examine(claimed)

    def finish_leftovers(self) -> None:
        """Take up claims that a crash or a passing fault has left."""
        for claimed in leftover_claims(self._root.claims):
            self._examine(claimed)

    def _examine(self, claimed: Claim) -> None:
        if not self._faults.is_paused(_what(claimed)):
            new = NewJob.of_drop(claimed.token, claimed.name)
            self._workers.submit_apart(
                Lane.CLAIMS,
                ("claim", claimed.token),
                partial(_examine, claimed, self.rules, self._store.bases_of(new.cycle, self._root.path)),
                partial(self._decide, claimed),
            )

    def _decide(self, claimed: Claim, examined: Future[Accepted]) -> None:
        # After a fault the claim stays, and a later rescan takes it up again.
        self._faults.attempt(
            _what(claimed),
            partial(self._finish, claimed, examined),
            partial(self._set_aside, claimed),
        )

    def _set_aside(self, claimed: Claim, defect: Defect) -> None:
        """Reject what glmd itself failed over, by as little as can fail in its turn: it must not come back."""
        fields = {"path": printable(claimed.name), "code": defect.CODE, "reason": defect.reason}
        log.warning("drop_set_aside", claim=claimed.token, **fields)
        self._faults.contain(f"row of {printable(claimed.name)}", partial(self._note_defect, claimed, defect))
        if os.path.lexists(claimed.path):
            reason = f"{printable(claimed.name)}: {defect.reason}\n\n{defect.traceback}"
            reject(claimed, self._root.rejected, reason, defect.CODE)

    def _note_defect(self, claimed: Claim, defect: Defect) -> None:
        job = self._store.add(NewJob.of_drop(claimed.token, claimed.name), State.REJECTED, defect.reason, defect.CODE)
        if job.state is State.QUEUED:
            self._store.move(job, State.FAILED, defect.reason, defect.CODE)

    def _finish(self, claimed: Claim, examined: Future[Accepted]) -> None:
        job = self._store.claimed(claimed.token)
        if job is not None and job.state is State.REJECTED:  # decided before a fault, so that it cannot change
            self._reject(claimed, job.reason, job.code)
            return
        if job is not None and job.directory(self._root.path).submitted.exists():  # only to be discarded was left
            discard(claimed)
            return
        try:
            accepted = examined.result()
        except BadInputError as error:
            self._reject(claimed, str(error), error.code)
        else:
            self._accept(claimed, accepted)

    def _accept(self, claimed: Claim, accepted: Accepted) -> None:
        twin = self._store.unfinished_with(accepted.digest)
        if twin and twin != self._store.claimed(claimed.token):
            self._reject(
                claimed,
                f"{printable(claimed.name)}: the same file as job {twin.id}, which is {twin.state}; drop it again when "
                "that one is over, or change a comment in it to run it twice",
                Code.DROP_DUPLICATE,
                accepted.digest,
            )
            return
        checked = accepted.checked
        job = self._store.add(
            replace(
                NewJob.of_drop(claimed.token, claimed.name, accepted.digest),
                priority=checked.section.priority,
                devices=checked.devices,
                nodes=checked.nodes,
                ranks=checked.ranks if checked.nodes else 0,
                prefix=checked.prefix,
                owner=accepted.owner,
            )
        )
        self._fill(job, claimed, accepted)

    def _fill(self, job: Job, claimed: Claim, accepted: Accepted) -> None:
        directory = job.directory(self._root.path)
        refuse_absent_jobs(self._root)  # made again it would stand in the way of the one that comes back
        make_directory(directory.path)
        publish_bytes(directory.config, accepted.checked.config)
        remember(directory, accepted.checked, accepted.digest)
        rejected_before = same_name(claimed, self._root).text()
        snapshot(claimed, accepted.content, directory.submitted)
        events = job_log(directory.events, job=job.id)
        for warning in accepted.checked.warnings:
            events.warning("config_warning", reason=str(warning))
        if rejected_before:
            events.warning("perhaps_half_a_file", reason=rejected_before)
        events.info(
            "job_queued",
            path=printable(claimed.name),
            devices=job.devices,
            priority=job.priority,
            checked_against=accepted.checked.against,
        )

    def _leave(self, path: Path, reason: str, code: str) -> None:
        """Report what cannot be moved away, once."""
        self.inbox.leave_alone(path)
        try:
            status = path.lstat()
        except FileNotFoundError:  # somebody removed it just now
            return
        claim_once = f"left:{status.st_ino}:{status.st_mtime_ns}"
        job = self._store.add(NewJob.of_drop(claim_once, path.name), State.REJECTED, reason, code)
        log.warning("drop_left_in_inbox", job=job.id, path=printable(path.name), code=code, reason=reason)

    def _reject(self, claimed: Claim, reason: str, code: str = "", digest: str = "") -> None:
        """Reject `claimed`; `digest` is given where it is the same file as a job's, and so no half of another."""
        others = self._same_name(claimed)
        text = "" if digest else others.text()
        reason = f"{reason}\n{text}" if text else reason
        new = NewJob.of_drop(claimed.token, claimed.name, digest)
        job = self._store.add(new, State.REJECTED, reason, code)  # one that was decided before a fault keeps its reason
        if job.state is State.QUEUED:  # accepted before a crash, and no longer right
            job = self._store.move(job, State.FAILED, reason, code)
        if not digest:
            tell_the_other(claimed, others, self._root)
        path = reject(claimed, self._root.rejected, job.reason, job.code)
        log.warning("drop_rejected", job=job.id, path=str(path), code=job.code, reason=job.reason)

    def _same_name(self, claimed: Claim) -> SameName:
        own = self._store.claimed(claimed.token)
        jobs = [job for job in self._store.named_since(job_name(claimed.name), earliest(claimed)) if job != own]
        return same_name(claimed, self._root, jobs)


def _what(claimed: Claim) -> str:
    return f"claim of {printable(claimed.name)}"


def _examine(claimed: Claim, rules_of_now: RulesOfNow, own: Mapping[str, Path]) -> Accepted:
    rules = replace(rules_of_now(), own=own)
    if is_run(job_name(claimed.name)):  # a night is not lost for a full disk: its job waits for room
        rules = replace(rules, disk=None)
    content = read_claimed(claimed, rules.max_bytes)
    return Accepted(content, check(content, claimed.name, rules), User(claimed.path.lstat().st_uid))
