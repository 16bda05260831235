"""All families that glmd exposes. docs/metrics.md has the same table for people, and a test holds both together."""

from typing import Final

from daemon.face.metrics.family import Family, Type

FAMILIES: Final[list[Family]] = []
"""All of them, in their order."""
_JOB: Final = ("job_id", "job_name")
"""Not `job`: that, and `instance`, belong to whoever scrapes."""


def _gauge(name: str, help_line: str, *labels: str) -> Family:
    return _added(Family(f"glmd_{name}", Type.GAUGE, help_line, labels))


def _counter(name: str, help_line: str, *labels: str) -> Family:
    return _added(Family(f"glmd_{name}_total", Type.COUNTER, help_line, labels))


def _histogram(name: str, help_line: str, *labels: str) -> Family:
    return _added(Family(f"glmd_{name}", Type.HISTOGRAM, help_line, labels))


def _added(family: Family) -> Family:
    FAMILIES.append(family)
    return family


# The exporter itself
BUILD_INFO = _gauge("build_info", "1, with the version of the glmd that made these samples.", "version", "python")
COLLECTOR_SUCCESS = _gauge("collector_success", "1 if glmd could make this part of the samples, else 0.", "collector")
COLLECTOR_DURATION = _gauge(
    "collector_duration_seconds", "How long glmd took to make this part of the samples.", "collector"
)
WEB_STREAMS = _gauge("web_streams", "Browsers that glmd web sends changes to; only glmd web has this sample.")

# The daemon
UP = _gauge("up", "1 while the daemon runs, else 0.")
DAEMON_STARTED = _gauge("daemon_start_time_seconds", "When the daemon started, since 1970.")
FAULTS = _gauge("faults", "Things that fail now and that glmd tries again.")
DEVICES = _gauge("devices", "Devices that jobs hold, and devices that are free for jobs.", "state")

# Jobs, all of them
JOBS = _gauge("jobs", "Jobs in each state.", "state")
TRANSITIONS = _counter("job_transitions", "How often jobs entered a state.", "state")
RESUMED = _counter("trainings_resumed", "Trainings that glmd resumed as a further attempt.")
FAILURES = _counter(
    "step_failures", "Failed steps of jobs, also those that glmd tried again; error is a code.", "step", "error"
)
QUEUE_OLDEST = _gauge("queue_oldest_submitted_timestamp_seconds", "When the oldest waiting job arrived.")
WORK = _histogram("work_duration_seconds", "How long steps of jobs took.", "step", "outcome")
MERGED = _counter("merge_written_bytes", "Bytes of the merged outputs of jobs that are done.")
OPERATOR_NEEDED = _gauge(
    "operator_needed", "Jobs that are over and still hold devices, because KILL did not end their processes."
)
NOTICES = _gauge("notices", "Present notices about nights and the disk.", "kind")

# Jobs that are at work
DEVICE_JOB = _gauge(
    "device_job_info", "1 for each device that a job holds; id is the same as npu-exporter's.", "id", *_JOB, "rank"
)
JOB_INFO = _gauge("job_info", "1 for each job at work.", *_JOB, "prefix", "cycle", "attempt")
JOB_ENTERED = _gauge("job_state_entered_timestamp_seconds", "When a job entered its state.", *_JOB, "state")
JOB_EPOCH = _gauge("job_epoch", "The current epoch of a training, from 1.", *_JOB)
JOB_EPOCHS = _gauge("job_epochs", "How many epochs a training has.", *_JOB)
JOB_STEPS = _gauge("job_steps_done", "Steps that a training has done.", *_JOB)
JOB_PLANNED = _gauge("job_steps_planned", "Steps that a training has in all.", *_JOB)
JOB_LOSS = _gauge("job_loss", "The loss of the last step of a training; it may be NaN.", *_JOB)
JOB_RATE = _gauge("job_learning_rate", "The learning rate of the last step of a training.", *_JOB)
JOB_SCALE = _gauge("job_loss_scale", "The loss scale of the last step of a training.", *_JOB)
JOB_OVERFLOWS = _counter("job_overflow_steps", "Recorded steps that overflowed, of all attempts of a training.", *_JOB)
JOB_STEP_SECONDS = _gauge("job_step_duration_seconds", "How long a step takes: the median of the last 20 steps.", *_JOB)
JOB_SAMPLES = _gauge(
    "job_samples_per_second", "Samples a second on all devices: the median of the last 20 steps.", *_JOB
)
JOB_REMAINING = _gauge("job_remaining_seconds", "Time until the last step, at the present speed.", *_JOB)
JOB_SIGN = _gauge("job_last_sign_of_life_timestamp_seconds", "When a training last wrote a log or a checkpoint.", *_JOB)
JOB_LIMIT = _gauge(
    "job_silence_limit_seconds", "A training counts as hung after this time without a sign of life.", *_JOB
)
_RANK: Final = (*_JOB, "rank", "id", "node")
"""The node is Slurm's, and its label empty for a rank of this host: Prometheus has no such label then."""
RANK_STEPS = _gauge("job_rank_steps_done", "Steps that a rank has done.", *_RANK)
RANK_LINE = _gauge("job_rank_last_line_timestamp_seconds", "When a rank last wrote its log.", *_RANK)

# Nights, of the cycles in the daemon's settings
NIGHT_DUE = _gauge("nightly_due_timestamp_seconds", "The last time at which a cycle was due.", "cycle")
NIGHT_NEXT = _gauge("nightly_next_due_timestamp_seconds", "When a cycle is due next.", "cycle")
NIGHT_DECIDED = _gauge(
    "nightly_last_decided_timestamp_seconds", "The last due time at which glmd dropped or skipped a cycle.", "cycle"
)
NIGHT_SUCCESS = _gauge(
    "nightly_last_success_timestamp_seconds", "When the last successful run of a cycle ended.", "cycle"
)
NIGHT_SUCCESS_DUE = _gauge(
    "nightly_last_success_due_timestamp_seconds",
    "The due time of that run, or a later one without new data to train on.",
    "cycle",
)
NIGHT_RUNS = _counter(
    "nightly_runs", "Due times of a cycle by outcome: dropped, caught_up or skipped.", "cycle", "outcome"
)
NIGHT_FAILING = _gauge("nightly_failing", "1 while glmd cannot drop the newest run, and tries again.", "cycle")
NIGHT_LOSS = _gauge("nightly_final_loss", "The final loss of the last successful run of a cycle.", "cycle")
NIGHT_SECONDS = _gauge("nightly_duration_seconds", "How long the steps of that run took.", "cycle")
NIGHT_EXPECTED = _gauge(
    "nightly_expected_bytes", "Disk that the next run of a cycle needs, learned from the last five.", "cycle"
)
NIGHT_PROMOTED = _gauge(
    "nightly_last_promotion_timestamp_seconds",
    "When a cycle made its last promotion that nobody took back.",
    "cycle",
    "prefix",
)

# The gate, promotions, retention
REFUSALS = _counter("gate_refusals", "Outputs that did not become latest, by the code of the reason.", "error")
PROMOTIONS = _counter("promotions", "How often a latest/PREFIX got another target.", "kind")
PRUNED = _counter("retention_removals", "Parts of jobs that retention removed.", "part")
FREED = _counter("retention_freed_bytes", "Bytes that these removals freed.", "part")
PRUNING = _gauge("retention_unfinished", "Removals that have begun and not ended.")

# The disk
FREE = _gauge("filesystem_free_bytes", "Bytes that glmd can still write there.", "place")
SIZE = _gauge("filesystem_size_bytes", "The size of that file system.", "place")
GROWTH = _gauge("forecast_growth_bytes_per_second", "How fast the disk use of jobs grew in the last 14 days.")
FULL_IN = _gauge("forecast_full_seconds", "Time until the disk of jobs is full at that speed; absent if it never is.")

# Notifications
MESSAGES = _gauge("notifications", "Messages of the last 30 days, by state.", "destination", "state")
MESSAGE_OLDEST = _gauge(
    "notification_oldest_pending_timestamp_seconds",
    "When glmd-notify made the oldest message that no one has accepted yet.",
    "destination",
)
