"""The commands of `glmd`, one module each. Only the one that runs is imported."""

COMMANDS = {
    "serve": ("daemon.commands.serve:serve", "Run the daemon in the foreground."),
    "submit": ("daemon.commands.submit:submit", "Check a YAML, then drop it into the inbox."),
    "check": ("daemon.commands.check:check", "Check a YAML as the daemon does, and drop nothing."),
    "status": ("daemon.commands.status:status", "Show all jobs, or one in detail; works without the daemon."),
    "top": (
        "daemon.commands.top:top",
        "Show running, waiting and ended jobs, again every second.",
    ),
    "nights": (
        "daemon.commands.nights:nights",
        "Show the results of the nightly cycles, one row for each.",
    ),
    "night": (
        "daemon.commands.night:night",
        "Show what happened in one night, and what needs you.",
    ),
    "logs": (
        "daemon.commands.logs:logs",
        "Show a job's events, or the output of a rank or a node.",
    ),
    "steps": (
        "daemon.commands.steps:steps",
        "Show a training step by step, or rebuild its record.",
    ),
    "compare": (
        "daemon.commands.compare:compare",
        "Compare the trainings of several jobs.",
    ),
    "cancel": ("daemon.commands.control:cancel", "Cancel a job, or remove it from the queue."),
    "retry": ("daemon.commands.control:retry", "Run the failed or cancelled step of a job again."),
    "promote": (
        "daemon.commands.promotion:promote",
        "Let latest/PREFIX lead to the merged output of a job.",
    ),
    "rollback": (
        "daemon.commands.promotion:rollback",
        "Let latest/PREFIX lead to an output promoted before.",
    ),
    "promotions": (
        "daemon.commands.promotion:promotions",
        "List the promotions of each latest/PREFIX, newest last.",
    ),
    "prune": (
        "daemon.commands.prune:prune",
        "Let the daemon remove files that `retention:` does not keep.",
    ),
    "reload": ("daemon.commands.control:reload", "Let the daemon read its settings again."),
    "rank-table": ("daemon.commands.rank_table:app", "Make, check and merge HCCL rank tables."),
    "merge": ("daemon.commands.merge:merge", "Merge a run's shards into one filtered checkpoint."),
    "verify": ("daemon.commands.verify:verify", "Compare a merged checkpoint with its manifest."),
    "inspect": (
        "daemon.commands.inspect:inspect",
        "Show checkpoint and strategy files, or how two differ.",
    ),
    "doctor": (
        "daemon.commands.doctor:doctor",
        "Examine this host, Slurm (--slurm), or the root (--state).",
    ),
    "notify": (
        "daemon.commands.notify:notify",
        "Send people messages: serve, test NAME, list, retry.",
    ),
    "web": ("daemon.commands.web:web", "Serve the page, which only reads; works without the daemon."),
    "metrics": (
        "daemon.commands.metrics:metrics",
        "Print metrics for Prometheus, or write them to a textfile.",
    ),
    "backup": (
        "daemon.commands.backup:backup",
        "Back up the store, the records and the promoted outputs.",
    ),
    "restore": ("daemon.commands.restore:restore", "Check a backup, or restore it to a new root."),
    "explain": (
        "daemon.commands.explain:explain",
        "Explain the code of an error, or list all codes.",
    ),
    "demo": ("daemon.commands.demo:demo", "Rehearse everything: train a tiny GLM for real, and merge it."),
}
"""Name → (module:attribute, line of help)."""

HIDDEN = frozenset({"reload"})
"""What systemd runs rather than people; docs/cli.md has it anyway."""

OWN_PARSER = frozenset(
    {"backup", "compare", "merge", "metrics", "night", "nights", "notify", "restore", "status", "steps", "top", "web"}
)
"""Commands that take their words unparsed: loading typer takes longer than what they do."""
COMMON = ("--root", "--config")
"""Options that may stand before any command."""
