"""The commands of `glmd`, one module each. Only the one that runs is imported."""

COMMANDS = {
    "serve": ("daemon.commands.serve:serve", "Run the daemon in the foreground."),
    "submit": ("daemon.commands.submit:submit", "Check a YAML, then drop it into the inbox."),
    "check": ("daemon.commands.check:check", "Check a YAML as the daemon does, and drop nothing."),
    "status": ("daemon.commands.status:status", "Show all jobs, or one in detail; works without the daemon."),
    "top": (
        "daemon.commands.top:top",
        "Show running, waiting and ended jobs, once a second; works without the daemon.",
    ),
    "nights": (
        "daemon.commands.nights:nights",
        "Show the results of the nightly cycles, one row for each; works without the daemon.",
    ),
    "night": (
        "daemon.commands.night:night",
        "Show what happened in one night, and what needs you; if something does, the exit code is 1.",
    ),
    "logs": (
        "daemon.commands.logs:logs",
        "Show a job's events, or the output of a rank, of its evaluation, or of its nodes of Slurm.",
    ),
    "steps": (
        "daemon.commands.steps:steps",
        "Show a job's training step by step, or rebuild its record from its logs.",
    ),
    "compare": (
        "daemon.commands.compare:compare",
        "Compare the trainings of several jobs.",
    ),
    "cancel": ("daemon.commands.control:cancel", "Cancel a job, or remove it from the queue."),
    "retry": ("daemon.commands.control:retry", "Run the failed or cancelled step of a job again."),
    "promote": (
        "daemon.commands.promotion:promote",
        "Let latest/PREFIX lead to the merged output of a job; later trainings start from it.",
    ),
    "rollback": (
        "daemon.commands.promotion:rollback",
        "Let latest/PREFIX lead to an output promoted before; glmd does not promote the later ones again by itself.",
    ),
    "promotions": (
        "daemon.commands.promotion:promotions",
        "List the promotions of each latest/PREFIX, the newest last; works without the daemon.",
    ),
    "prune": (
        "daemon.commands.prune:prune",
        "Let the daemon remove files that `retention:` does not keep, also those of jobs that people dropped.",
    ),
    "reload": ("daemon.commands.control:reload", "Let the daemon read its settings again."),
    "rank-table": ("daemon.commands.rank_table:app", "Make, check and merge HCCL rank tables."),
    "merge": ("daemon.commands.merge:merge", "Merge a run's shards into one filtered checkpoint."),
    "verify": ("daemon.commands.verify:verify", "Compare a merged checkpoint with its manifest."),
    "inspect": (
        "daemon.commands.inspect:inspect",
        "Show the content of checkpoint and strategy files, or how two differ.",
    ),
    "doctor": (
        "daemon.commands.doctor:doctor",
        "Examine this host; with --slurm examine Slurm, with --state compare the root with the store.",
    ),
    "notify": (
        "daemon.commands.notify:notify",
        "Send people messages about what happens: serve, test NAME, list, retry.",
    ),
    "web": ("daemon.commands.web:web", "Serve the page, which only reads; works without the daemon."),
    "metrics": (
        "daemon.commands.metrics:metrics",
        "Print metrics for Prometheus, or write them to a textfile; works without the daemon.",
    ),
    "backup": (
        "daemon.commands.backup:backup",
        "Back up the store, the jobs' records and the promoted outputs, also while glmd and jobs run.",
    ),
    "restore": ("daemon.commands.restore:restore", "Check a backup, or restore it to a new root."),
    "explain": (
        "daemon.commands.explain:explain",
        "Explain the code of an error and what to do, or list all codes.",
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
