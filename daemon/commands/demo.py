"""`glmd demo`: the whole way on real parts, shown while it goes, and told in a few lines at the end."""

import contextlib
import json
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from daemon.client import submission
from daemon.client.rehearsal import RehearsalError, Stage, new_root, remove, training_python
from daemon.client.stacks import NAME, STACKS, StackName
from daemon.commands.arguments import ConfigOption, settings_of
from daemon.commands.terminal.board import Board
from daemon.core.checking import rules
from daemon.core.control import ask
from daemon.core.root import Root
from daemon.core.settings import load_settings
from daemon.core.states import Job, State
from daemon.face.status import JobStatus
from handlers.ckpt.publishing.manifest import NAME as MANIFEST
from handlers.ckpt.publishing.manifest import read_manifest
from handlers.units.byte_sizes import format_size
from handlers.validate.check import check

CLAIM_WITHIN = 30.0
_WAY = (State.QUEUED, State.PREPARING, State.TRAINING, State.MERGING, State.DONE)
_DOING = {
    State.QUEUED: "waiting for two devices",
    State.PREPARING: "making the rank table and the plan",
    State.TRAINING: "training: the ranks meet and compile the graph, before the first step",
    State.MERGING: "merging and filtering the shards",
}
_CAME_OF = {
    State.PREPARING: "rank table and plan were made",
    State.MERGING: "their shards were merged, filtered and published",
}

_MISSED_EACH_OTHER = "The state of the cluster is error"
"""A race of MindSpore 2.0's CPU cluster at start-up, which a busy machine brings out; NPUs meet in another way."""


def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep/--remove", help="Keep the directory, to look at, or remove it at the end.")
    ] = True,
    stack: Annotated[
        StackName, typer.Option("--stack", help="MindFormers 1.9 with a tiny GLM-4, or 0.8 with a tiny GLM-6B.")
    ] = StackName.GLM_6B,
    web: Annotated[bool, typer.Option("--web", help="Show the page meanwhile, and until Ctrl-C.")] = False,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", metavar="DIR", help="Rehearse in this empty directory; if not given, in a temporary one."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Rehearse everything: train a tiny GLM for real, and merge it."""
    rehearsed = STACKS[stack]
    python = training_python(settings_of(None, config).training.python, rehearsed)
    place = new_root(root)
    with _interruptible():
        try:
            with Board() as board, _ending(Stage(place, python, rehearsed), board) as stage:
                story = _rehearse(stage, board, web=web)
                if story.page:
                    _stay_open(story, board)
        except KeyboardInterrupt:
            typer.echo("interrupted; everything that was started has ended", err=True)
            keep = keep and root is not None
            raise
        else:
            if not story.page:
                typer.echo("\n".join(["", *story.happened]))
        finally:
            if keep:
                typer.echo(f"\nAll of it is in {place}, for you to look at. When you have seen enough: rm -r {place}")
            else:
                remove(place)
    if keep and not story.page:
        typer.echo("\n".join(story.to_look_at))  # last: how to open the page


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let TERM and HUP do what Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _ending(stage: Stage, board: Board) -> Iterator[Stage]:
    """Whatever happens, end what was started; an impatient second Ctrl-C must not leave anything behind."""
    try:
        yield stage
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        board.begin("ending what was started")
        stage.end()
        board.end("everything that was started has ended")


def _stay_open(story: "_Story", board: Board) -> None:
    """Tell the story, and let the page be looked at until somebody has seen enough."""
    typer.echo("\n".join(["", *story.happened, *story.to_look_at, ""]))
    board.begin(f"the page stays open at {story.page}: Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def _rehearse(stage: Stage, board: Board, *, web: bool) -> "_Story":
    """Play the rehearsal; return the story of it. Raises HandlerError."""
    board.begin("making training data and initial weights")
    stage.furnish()
    board.end(f"training data and initial weights of a tiny {stage.stack.model}")
    board.begin("starting glmd")
    stage.start_daemon()
    board.end("glmd runs, with a directory of its own")
    page = ""
    if web:
        board.begin("opening the page")
        page = stage.start_page()
        board.end(f"the page is at {page}: open it, and see the training")
    board.begin(f"dropping {NAME} into the inbox")
    settings = load_settings(stage.settings_file, stage.root.path)
    content = stage.yaml()
    check(content, NAME, rules(settings, stage.root))
    found = submission.wait_for_job(submission.drop(content, NAME, stage.root), stage.root, CLAIM_WITHIN)
    if found is None:
        raise RehearsalError(f"glmd did not take {NAME}; see {stage.daemon_log}")
    board.end(f"{NAME} was checked and claimed: job {found.job.label}")
    end = submission.follow(found.job.id, stage.root, _Play(stage, board).show)
    if end.job.state is State.FAILED and _MISSED_EACH_OTHER in end.job.reason:
        board.begin("the ranks missed each other at the start, as MindSpore 2.0 does now and then: glmd retry")
        ask(stage.root.path, "retry", end.job.id)
        end = submission.follow(end.job.id, stage.root, _Play(stage, board).show)
    if end.job.state is not State.DONE:
        raise RehearsalError(
            f"job {end.job.label} {end.job.state}: {end.job.reason}; see {end.directory} and {stage.daemon_log}"
        )
    board.begin("loading the merged checkpoint into a single-process GLM")
    job = end.job.directory(stage.root.path)
    (merged,) = (path for path in job.merged.iterdir() if path.name != MANIFEST)
    losses = json.loads(stage.run_training_script("check_loss.py", str(merged), fine=(0, 1)))
    if not losses["equal"]:
        raise RehearsalError(
            f"the merged checkpoint gives the loss {losses['loss']}, the trained ranks gave {losses['trained']}: "
            f"they agree to {losses['digits']} digits"
        )
    board.end("the merged checkpoint gives the trained ranks' loss, to the last bit")
    return _story(stage, end.job, merged, losses, page)


class _Play:
    """Shows a job's way through its states."""

    def __init__(self, stage: Stage, board: Board) -> None:
        self._stage = stage
        self._board = board
        self._state = State.QUEUED
        board.begin(_DOING[State.QUEUED])

    def show(self, status: JobStatus) -> None:
        """Show where the job is now. Raises RehearsalError when the daemon is gone."""
        if not self._stage.daemon_runs:
            raise RehearsalError(f"glmd ended meanwhile; see {self._stage.daemon_log}")
        state = status.job.state
        if state is not self._state and state in _WAY:
            came_of = {**_CAME_OF, State.TRAINING: self._stage.stack.trains}
            for passed in _WAY[_WAY.index(self._state) : _WAY.index(state)]:
                if passed in came_of:
                    self._board.end(came_of[passed])
            self._state = state
            if state in _DOING:
                self._board.begin(_DOING[state])
        if (progress := status.progress) is not None:
            text = f"training: epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}"
            steps = (progress.epoch - 1) * progress.steps + progress.step
            self._board.advance(text, steps, progress.epochs * progress.steps)


@dataclass(frozen=True)
class _Story:
    happened: tuple[str, ...]
    to_look_at: tuple[str, ...]
    page: str
    """Its address, where it is open."""


def _on_the_page(page: str, job: Job, root: Root) -> tuple[str, ...]:
    """Return what to try while the page is open, and the daemon is there."""
    return (
        f"  {page}jobs/{job.id}    its page: curve, files, history",
        "",
        "To see a failure",
        f"  cp {job.directory(root.path).submitted} {root.inbox}/again.yaml    drops it once more",
        f"  {page}jobs/{job.id + 1}/ranks    has the ranks' pids while it trains; kill -9 one of them",
        f"  {page}jobs/{job.id + 1}    says what became of it: at first glmd tries again by itself",
    )


def _without_the_page(glmd: str, job: Job, root: Root) -> tuple[str, ...]:
    """Return how it is opened; the daemon is gone."""
    return (
        f"  {glmd} demo --web    the same again with the page, and glmd stays there for a failure of your own",
        f"  {glmd} --root {root.path} web    the page alone: open http://127.0.0.1:8470/jobs/{job.id}",
    )


def _story(stage: Stage, job: Job, merged: Path, losses: dict[str, float], page: str) -> _Story:
    root, stack, directory = stage.root, stage.stack, job.directory(stage.root.path)
    manifest = read_manifest(directory.merged / MANIFEST)
    glmd = "glmd" if shutil.which("glmd") else shlex.quote(sys.argv[0])
    shards = sum(source.size for source in manifest.sources.values())
    happened = (
        "What happened",
        f"  A MindFormers YAML was dropped into {root.inbox}. glmd checked it, made a rank table, and",
        f"  trained {stack.model}'s architecture in miniature, for real, on two CPU ranks.",
        f"  The ranks' shards of tag {manifest.tag} ({format_size(shards)} with optimizer state) became one checkpoint",
        f"  of {format_size(manifest.size)}: of {manifest.entries_in} entries {len(manifest.parameters)} were kept.",
        f"  Loaded into a GLM of one process it gives the loss {losses['loss']:.17g} on a fixed batch, and so did",
        f"  the trained ranks, to the last bit. Before the training it was {losses['before']:.3f}.",
        "  (Training, files and formats are real. What is not as on a server:",
        f"  {stack.acting})",
    )
    to_look_at = (
        "",
        "Where the files are",
        f"  {merged}",
        f"  {directory.path}/  config, rank table, plan, logs, shards",
        "",
        "What to try next",
        f"  {glmd} --root {root.path} status {job.id}",
        f"  {glmd} --root {root.path} logs {job.id}",
        f"  {glmd} inspect {merged}",
        f"  {glmd} doctor    what a server still needs to train the real model",
        *(_on_the_page(page, job, root) if page else _without_the_page(glmd, job, root)),
    )
    return _Story(happened, to_look_at, page)
