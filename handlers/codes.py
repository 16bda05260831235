"""What programs tell errors and reasons apart by: a short name that stays, whatever a message says.

Each has an entry in docs/troubleshooting.md, which `glmd explain CODE` prints. A name is never used again for something
else; a new one is added here and there.
"""

from enum import StrEnum

from handlers.ckpt import codes as ckpt


class Code(StrEnum):
    """What went wrong, as FAMILY.KIND."""

    # A dropped file, before anybody reads what it says.
    DROP_CANNOT_BE_MOVED = "drop.cannot-be-moved"
    DROP_NOT_A_FILE = "drop.not-a-file"
    DROP_TOO_LARGE = "drop.too-large"
    DROP_UNREADABLE = "drop.unreadable"
    DROP_CHANGED_MEANWHILE = "drop.changed-meanwhile"
    DROP_DUPLICATE = "drop.duplicate"
    DROP_NAME = "drop.name"
    DROP_NO_INBOX = "drop.no-inbox"

    # A YAML, whatever it is for.
    YAML_EMPTY = "yaml.empty"
    YAML_NOT_TEXT = "yaml.not-text"
    YAML_NOT_A_MAPPING = "yaml.not-a-mapping"
    YAML_SYNTAX = "yaml.syntax"
    YAML_TOO_COMPLEX = "yaml.too-complex"
    YAML_KEY = "yaml.key"
    YAML_DUPLICATE_KEY = "yaml.duplicate-key"
    YAML_MERGE_KEY = "yaml.merge-key"
    YAML_TAG = "yaml.tag"

    # What a dropped YAML says: one a rule, not one a key.
    CONFIG_MISSING_KEY = "config.missing-key"
    CONFIG_UNKNOWN_KEY = "config.unknown-key"
    CONFIG_NOT_IN_MINDFORMERS = "config.not-in-mindformers"
    CONFIG_OTHER_MINDFORMERS = "config.other-mindformers"
    CONFIG_SLURM = "config.slurm"
    CONFIG_VALUE = "config.value"
    CONFIG_NUMBER = "config.number"
    CONFIG_NOT_A_MAPPING = "config.not-a-mapping"
    CONFIG_NOT_IN_THIS_VERSION = "config.not-in-this-version"
    CONFIG_OVERRIDE = "config.override"
    CONFIG_SECTION_INSEPARABLE = "config.section-inseparable"
    CONFIG_RUN_MODE = "config.run-mode"
    CONFIG_DEVICE_TARGET = "config.device-target"
    CONFIG_NO_DEVICES = "config.no-devices"
    CONFIG_UNKNOWN_DEVICES = "config.unknown-devices"
    CONFIG_DEVICE_TOPOLOGY = "config.device-topology"
    CONFIG_PARALLEL_PRODUCT = "config.parallel-product"
    CONFIG_PARALLEL_MODE = "config.parallel-mode"
    CONFIG_PARALLEL_ON_CPU = "config.parallel-on-cpu"
    CONFIG_PIPELINE_STAGES = "config.pipeline-stages"
    CONFIG_NO_EFFECT = "config.no-effect"
    CONFIG_MODEL_CUT = "config.model-cut"
    CONFIG_BASE_CONFIG = "config.base-config"
    CONFIG_NOTHING_TO_MERGE = "config.nothing-to-merge"
    CONFIG_OUTPUT_DIR = "config.output-dir"
    CONFIG_CHECKPOINT_CALLBACK = "config.checkpoint-callback"
    CONFIG_SAVING_FORM = "config.saving-form"
    CONFIG_PREFIX = "config.prefix"
    CONFIG_TAG_NOT_WRITTEN = "config.tag-not-written"
    CONFIG_STRATEGY_FILES = "config.strategy-files"
    CONFIG_NO_WEIGHTS = "config.no-weights"
    CONFIG_WEIGHTS_FORM = "config.weights-form"
    CONFIG_CONTINUE_FROM = "config.continue-from"
    CONFIG_SINK_MODE = "config.sink-mode"
    CONFIG_PATH = "config.path"
    CONFIG_LOCAL_PATH = "config.local-path"
    CONFIG_PATH_UNREADABLE = "config.path-unreadable"
    CONFIG_PATH_NOT_ALLOWED = "config.path-not-allowed"
    CONFIG_FOREIGN_CODE = "config.foreign-code"
    CONFIG_DATA_LOADER = "config.data-loader"
    CONFIG_DATA_HUB = "config.data-hub"
    CONFIG_NO_DATA = "config.no-data"
    CONFIG_ADAPTERS_IGNORED = "config.adapters-ignored"
    CONFIG_LORA = "config.lora"
    CONFIG_FROZEN_WEIGHTS = "config.frozen-weights"
    CONFIG_DISK_SPACE = "config.disk-space"
    CONFIG_DISK_NOT_CHECKED = "config.disk-not-checked"
    CONFIG_NOT_RESUMABLE = "config.not-resumable"
    CONFIG_GATE = "config.gate"

    # The settings, nightly cycles among them.
    SETTINGS_UNUSABLE = "settings.unusable"
    SETTINGS_NOT_THERE = "settings.not-there"
    NIGHT_CRON = "night.cron"
    NIGHT_TIMEZONE = "night.timezone"
    NIGHT_TEMPLATE = "night.template"
    NIGHT_PLACEHOLDER = "night.placeholder"
    NIGHT_INPUT = "night.input"
    NIGHT_SKIPPED = "night.skipped"
    NIGHT_UNCHANGED = "night.unchanged"
    NIGHT_MISSED = "night.missed"

    # Devices.
    DEVICE_WORDS = "device.words"
    DEVICE_NOT_VISIBLE = "device.not-visible"
    DEVICE_ABSENT = "device.absent"
    DEVICE_UNHEALTHY = "device.unhealthy"
    DEVICE_IN_USE = "device.in-use"
    DEVICE_PORT_IN_USE = "device.port-in-use"

    # Rank tables.
    RANK_TABLE_UNREADABLE = "rank-table.unreadable"
    RANK_TABLE_NOT_JSON = "rank-table.not-json"
    RANK_TABLE_REFUSED = "rank-table.refused"
    RANK_TABLE_SERVER_ADDRESS = "rank-table.server-address"
    RANK_TABLE_NO_SERVER_ADDRESS = "rank-table.no-server-address"
    RANK_TABLE_NO_DEVICE_ADDRESS = "rank-table.no-device-address"

    # What a training needs to be started, and what it came to.
    TRAINING_NO_INTERPRETER = "training.no-interpreter"
    TRAINING_NO_CHECKOUT = "training.no-checkout"
    TRAINING_DIVERGED = "training.diverged"

    # A step's shim.
    SHIM_USAGE = "shim.usage"
    SHIM_PLAN = "shim.plan"
    SHIM_ENVIRONMENT = "shim.environment"
    SHIM_NOT_STARTED = "shim.not-started"
    SHIM_LATE = "shim.late"
    SHIM_DIED = "shim.died"
    SHIM_STOPPED = "shim.stopped"
    SHIM_NO_EXIT = "shim.no-exit"
    SHIM_SURVIVORS = "shim.survivors"

    # A training on Slurm's nodes.
    SLURM_NO_ANSWER = "slurm.no-answer"
    SLURM_REFUSED = "slurm.refused"
    SLURM_NOT_BEGUN = "slurm.not-begun"
    SLURM_FORGOTTEN = "slurm.forgotten"
    SLURM_NODE_UNFIT = "slurm.node-unfit"
    SLURM_NODE_LOST = "slurm.node-lost"
    SLURM_PREEMPTED = "slurm.preempted"
    SLURM_TIME = "slurm.time"
    SLURM_MEMORY = "slurm.memory"
    SLURM_CANCELLED = "slurm.cancelled"
    SLURM_WAITED = "slurm.waited"

    # A rank that failed: handlers.rank_log has the table. The codes of CANN and signals are as they are printed.
    RANK_EI0001 = "rank.EI0001"
    RANK_EI0003 = "rank.EI0003"
    RANK_EI0004 = "rank.EI0004"
    RANK_EI0005 = "rank.EI0005"
    RANK_EI0007 = "rank.EI0007"
    RANK_EI0008 = "rank.EI0008"
    RANK_EI0010 = "rank.EI0010"
    RANK_EI0011 = "rank.EI0011"
    RANK_EI0014 = "rank.EI0014"
    RANK_EJ0001 = "rank.EJ0001"
    RANK_EJ0002 = "rank.EJ0002"
    RANK_EJ0004 = "rank.EJ0004"
    RANK_EL0002 = "rank.EL0002"
    RANK_EL0003 = "rank.EL0003"
    RANK_EL0005 = "rank.EL0005"
    RANK_EC0010 = "rank.EC0010"
    RANK_EL0001 = "rank.EL0001"
    RANK_DEVICE_MEMORY_FAULT = "rank.device-memory-fault"
    RANK_OPERATOR_FAILED_ON_DEVICE = "rank.operator-failed-on-device"
    RANK_DEVICE_MEMORY = "rank.device-memory"
    RANK_HOST_MEMORY = "rank.host-memory"
    RANK_PORT_IN_USE = "rank.port-in-use"
    RANK_DISK_FULL = "rank.disk-full"
    RANK_MISSING_MODULE = "rank.missing-module"
    RANK_MISSING_FILE = "rank.missing-file"
    RANK_STRATEGY = "rank.strategy"
    RANK_WEIGHTS_DO_NOT_FIT = "rank.weights-do-not-fit"
    RANK_NO_DATA = "rank.no-data"
    RANK_EE1001 = "rank.EE1001"
    RANK_EL = "rank.EL"
    RANK_EJ = "rank.EJ"
    RANK_E1 = "rank.E1"
    RANK_E2 = "rank.E2"
    RANK_E3 = "rank.E3"
    RANK_E4 = "rank.E4"
    RANK_E5 = "rank.E5"
    RANK_EC = "rank.EC"
    RANK_EH = "rank.EH"
    RANK_EK = "rank.EK"
    RANK_PYTHON_ERROR = "rank.python-error"
    RANK_EI0002 = "rank.EI0002"
    RANK_EI0006 = "rank.EI0006"
    RANK_EI0009 = "rank.EI0009"
    RANK_EI0013 = "rank.EI0013"
    RANK_EI0015 = "rank.EI0015"
    RANK_EE1002 = "rank.EE1002"
    RANK_EI = "rank.EI"
    RANK_EE = "rank.EE"
    RANK_HCCL_TIME_OUT = "rank.hccl-time-out"
    RANK_SCHEDULER_NOT_REACHED = "rank.scheduler-not-reached"
    RANK_LOST_PEER = "rank.lost-peer"
    RANK_ANOTHER_CODE_OF_CANN = "rank.another-code-of-cann"
    RANK_RETURN_CODE_OF_CANN = "rank.return-code-of-cann"
    RANK_MINDSPORE_ERROR = "rank.mindspore-error"
    RANK_SIGKILL = "rank.SIGKILL"
    RANK_SIGBUS = "rank.SIGBUS"
    RANK_SIGSEGV = "rank.SIGSEGV"
    RANK_SIGABRT = "rank.SIGABRT"
    RANK_FAILED = "rank.failed"
    RANK_NOT_STARTED = "rank.not-started"
    RANK_NOTHING_SAVED = "rank.nothing-saved"

    # A training that was taken for hung.
    HANG_LOAD = "hang.load"
    HANG_FIRST_STEP = "hang.first-step"
    HANG_SILENCE = "hang.silence"
    HANG_SAVING = "hang.saving"
    HANG_TOTAL = "hang.total"

    # Merging: those of handlers.ckpt, and what is beside the files.
    MERGE_NOT_A_FILE = ckpt.Code.NOT_A_FILE
    MERGE_DAMAGED = ckpt.Code.DAMAGED
    MERGE_STRATEGY_DAMAGED = ckpt.Code.DAMAGED_STRATEGY
    MERGE_MANIFEST_DAMAGED = ckpt.Code.DAMAGED_MANIFEST
    MERGE_UNSUPPORTED_LAYOUT = ckpt.Code.UNSUPPORTED_LAYOUT
    MERGE_UNSUPPORTED_FORM = ckpt.Code.UNSUPPORTED_FORM
    MERGE_NO_SHARDS = ckpt.Code.NO_SHARDS
    MERGE_SHARDS_INCOMPLETE = ckpt.Code.SHARDS_INCOMPLETE
    MERGE_TAGS_DIFFER = ckpt.Code.TAGS_DIFFER
    MERGE_SEVERAL_PREFIXES = ckpt.Code.SEVERAL_PREFIXES
    MERGE_SHARDS_MIXED = ckpt.Code.SHARDS_MIXED
    MERGE_ENTRIES_DIFFER = ckpt.Code.ENTRIES_DIFFER
    MERGE_CHANGED_MEANWHILE = ckpt.Code.CHANGED
    MERGE_NO_STRATEGY = ckpt.Code.NO_STRATEGY
    MERGE_STRATEGY_UNFIT = ckpt.Code.STRATEGY_UNFIT
    MERGE_RANKS_DIFFER = ckpt.Code.RANKS_DIFFER
    MERGE_STAGES_INCOMPLETE = ckpt.Code.STAGES_INCOMPLETE
    MERGE_REPLICAS_DIFFER = ckpt.Code.REPLICAS_DIFFER
    MERGE_SLICE_MISSING = ckpt.Code.SLICE_MISSING
    MERGE_SAVE_UNFIT = ckpt.Code.SAVE_UNFIT
    MERGE_UNHEALTHY = ckpt.Code.UNHEALTHY
    MERGE_NOTHING_TO_KEEP = ckpt.Code.NOTHING_TO_KEEP
    MERGE_NO_ADAPTERS = ckpt.Code.NO_ADAPTERS
    MERGE_ADAPTERS_UNFIT = ckpt.Code.ADAPTERS_UNFIT
    MERGE_NO_COUNTERPART = ckpt.Code.NO_COUNTERPART
    MERGE_NETWORK_UNKNOWN = ckpt.Code.NETWORK_UNKNOWN
    MERGE_BASE_UNFIT = ckpt.Code.BASE_UNFIT
    MERGE_NOT_FINITE = ckpt.Code.NOT_FINITE
    MERGE_OUTPUT_EXISTS = ckpt.Code.OUTPUT_EXISTS
    MERGE_UNDER_WAY = ckpt.Code.UNDER_WAY
    MERGE_NO_SPACE = ckpt.Code.NO_SPACE
    MERGE_TAG_FORM = "merge.tag-form"
    MERGE_NOT_A_SHARD = "merge.not-a-shard"
    VERIFY_NO_MANIFEST = "verify.no-manifest"
    VERIFY_MINDSPORE = "verify.mindspore"

    # What becomes `latest`, and what others go on from.
    PROMOTION_NOT_NEWEST = "promotion.not-newest"
    PROMOTION_UNDONE = "promotion.undone"
    PROMOTION_NOT_FINITE = "promotion.not-finite"
    PROMOTION_NOT_WHOLE = "promotion.not-whole"
    PROMOTION_NO_BASE = "promotion.no-base"
    PROMOTION_NOT_PASSED = "promotion.not-passed"
    PROMOTION_NO_LINK = "promotion.no-link"
    PROMOTION_NOTHING_BEFORE = "promotion.nothing-before"
    PROMOTION_PREFIX = "promotion.prefix"
    PROMOTION_GONE = "promotion.gone"

    # The gate before latest.
    GATE_NOT_WHOLE = "gate.not-whole"
    GATE_NOT_FINITE = "gate.not-finite"
    GATE_LOSS = "gate.loss"
    GATE_METRIC = "gate.metric"
    GATE_EVALUATION = "gate.evaluation"

    # A job.
    JOB_NONE = "job.none"
    JOB_NUMBER = "job.number"
    JOB_OVER = "job.over"
    JOB_NOT_RETRYABLE = "job.not-retryable"
    JOB_NOT_YOURS = "job.not-yours"
    JOB_NOTHING_TO_RUN = "job.nothing-to-run"
    JOB_NO_LOG = "job.no-log"
    JOB_NO_STEPS = "job.no-steps"
    JOB_TRAINS = "job.trains"
    JOB_FILE_UNUSABLE = "job.file-unusable"
    JOB_DIRECTORY_GONE = "job.directory-gone"
    JOB_TREE_GONE = "job.tree-gone"
    JOB_OVERTAKEN = "job.overtaken"
    JOB_CANCELLED = "job.cancelled"
    JOB_DEVICES_UNKNOWN = "job.devices-unknown"
    JOB_NOT_TAKEN_IN = "job.not-taken-in"
    JOB_BEING_PRUNED = "job.being-pruned"

    # The daemon, its root and its store.
    DAEMON_NOT_RUNNING = "daemon.not-running"
    DAEMON_NOT_ALLOWED = "daemon.not-allowed"
    DAEMON_BUSY = "daemon.busy"
    DAEMON_ALREADY_RUNNING = "daemon.already-running"
    DAEMON_ELSEWHERE = "daemon.elsewhere"
    DAEMON_LOCK_LOST = "daemon.lock-lost"
    DAEMON_AS_ROOT = "daemon.as-root"
    DAEMON_TOO_FEW_FILES = "daemon.too-few-files"
    DAEMON_FOREIGN_DIRECTORY = "daemon.foreign-directory"
    DAEMON_REQUEST = "daemon.request"
    DAEMON_RECORD = "daemon.record"
    STORE_UNUSABLE = "store.unusable"
    STORE_DAMAGED = "store.damaged"
    STORE_REPLACED = "store.replaced"
    STORE_NEWER = "store.newer"

    # Backups of a root.
    BACKUP_PLACE = "backup.place"
    BACKUP_NONE = "backup.none"
    BACKUP_NEWER = "backup.newer"
    BACKUP_NOT_WHOLE = "backup.not-whole"
    BACKUP_ROOT_IN_USE = "backup.root-in-use"

    # What the host denies.
    HOST_WENT_DOWN = "host.went-down"
    HOST_DISK_FULL = "host.disk-full"
    HOST_READ_ONLY = "host.read-only"
    HOST_NOT_ALLOWED = "host.not-allowed"
    HOST_NOT_THERE = "host.not-there"
    HOST_SHORTAGE = "host.shortage"
    HOST_NO_ANSWER = "host.no-answer"
    HOST_DISK_ERROR = "host.disk-error"
    HOST_ERROR = "host.error"

    # Notifications.
    NOTIFY_NO_CREDENTIAL = "notify.no-credential"
    NOTIFY_CREDENTIAL_OPEN = "notify.credential-open"
    NOTIFY_CREDENTIAL_UNUSABLE = "notify.credential-unusable"
    NOTIFY_ADDRESS = "notify.address"
    NOTIFY_NO_APPRISE = "notify.no-apprise"
    NOTIFY_SIGNING_KEY = "notify.signing-key"
    NOTIFY_NO_DESTINATION = "notify.no-destination"
    NOTIFY_NOT_SENT = "notify.not-sent"
    NOTIFY_OUTBOX = "notify.outbox"
    NOTIFY_ALREADY_RUNNING = "notify.already-running"

    # The page.
    WEB_NOT_READ = "web.not-read"
    WEB_NOT_THERE = "web.not-there"
    WEB_LISTEN = "web.listen"

    # Metrics.
    METRICS_NO_TEXTFILE = "metrics.no-textfile"

    # The command line.
    USAGE_NOT_THERE = "usage.not-there"
    USAGE_OPTIONS = "usage.options"
    DEMO_FAILED = "demo.failed"
    DEMO_NOT_EMPTY = "demo.not-empty"

    # glmd itself.
    GLMD_DEFECT = "glmd.defect"

    @property
    def family(self) -> str:
        """What it is about: the part before the dot."""
        return self.partition(".")[0]
