"""The commands of `glmd`, one module each. Only the one that runs is imported."""

COMMANDS = {
    "serve": ("daemon.commands.serve:serve", "Run the daemon in the foreground."),
    "submit": ("daemon.commands.submit:submit", "Check a YAML, then drop it into the inbox."),
    "check": ("daemon.commands.check:check", "Check a YAML as the daemon would; nothing is dropped."),
    "status": ("daemon.commands.status:status", "Show all jobs, or one in detail; also with the daemon down."),
    "top": (
        "daemon.commands.top:top",
        "Show what runs, waits and ended, once a second; also with the daemon down.",
    ),
    "nights": (
        "daemon.commands.nights:nights",
        "Show how the nightly cycles fared, a row each; also with the daemon down.",
    ),
    "night": (
        "daemon.commands.night:night",
        "Tell of one night what happened, and what needs you: then the exit code is 1.",
    ),
    "logs": (
        "daemon.commands.logs:logs",
        "Show a job's events, or what one rank, its evaluation, or glmd on nodes of Slurm prints.",
    ),
    "steps": (
        "daemon.commands.steps:steps",
        "Show a job's training step by step, or make its record anew from its logs.",
    ),
    "compare": (
        "daemon.commands.compare:compare",
        "Show the trainings of several jobs beside each other.",
    ),
    "cancel": ("daemon.commands.control:cancel", "End a job, or take it out of the queue."),
    "retry": ("daemon.commands.control:retry", "Do the step again that failed or was cancelled."),
    "promote": (
        "daemon.commands.promotion:promote",
        "Let latest/PREFIX lead to what a job has merged, for others to go on from.",
    ),
    "rollback": (
        "daemon.commands.promotion:rollback",
        "Let latest/PREFIX lead to what was promoted before; what was promoted since does not come back by itself.",
    ),
    "promotions": (
        "daemon.commands.promotion:promotions",
        "Show what each latest/PREFIX has led to, the newest last; also with the daemon down.",
    ),
    "prune": (
        "daemon.commands.prune:prune",
        "Remove what `retention:` does not keep, also of jobs that people dropped; the daemon does it.",
    ),
    "reload": ("daemon.commands.control:reload", "Let the daemon read its settings again."),
    "rank-table": ("daemon.commands.rank_table:app", "Make, check and merge HCCL rank tables."),
    "merge": ("daemon.commands.merge:merge", "Merge a run's shards into one filtered checkpoint."),
    "verify": ("daemon.commands.verify:verify", "Hold a merged checkpoint against its manifest."),
    "inspect": (
        "daemon.commands.inspect:inspect",
        "Show what checkpoint and strategy files hold, or where two differ.",
    ),
    "doctor": (
        "daemon.commands.doctor:doctor",
        "Say what this host has and lacks, with --slurm what Slurm has, or with --state whether root and store agree.",
    ),
    "notify": (
        "daemon.commands.notify:notify",
        "Tell people what happens: serve, test NAME, list, retry.",
    ),
    "web": ("daemon.commands.web:web", "Serve the page, which only reads; also with the daemon down."),
    "metrics": (
        "daemon.commands.metrics:metrics",
        "Print what glmd knows as samples for Prometheus, or write them as a textfile; also with the daemon down.",
    ),
    "backup": (
        "daemon.commands.backup:backup",
        "Back up the store, the jobs' records and what was promoted; glmd may run, and jobs, too.",
    ),
    "restore": ("daemon.commands.restore:restore", "Look at a backup, or make a root of it."),
    "explain": (
        "daemon.commands.explain:explain",
        "Say what the code of an error means and what to do, or list all codes.",
    ),
    "demo": ("daemon.commands.demo:demo", "Rehearse the whole way: a tiny GLM, really trained and merged."),
}
"""Name → (module:attribute, line of help)."""

HIDDEN = frozenset({"reload"})
"""What systemd runs rather than people; docs/cli.md has it all the same."""

OWN_PARSER = frozenset(
    {"backup", "compare", "merge", "metrics", "night", "nights", "notify", "restore", "status", "steps", "top", "web"}
)
"""Commands that take their words unparsed: loading typer takes longer than what they do."""
COMMON = ("--root", "--config")
"""Options that may stand before any command."""
