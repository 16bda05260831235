"""What programs tell the errors of checkpoints apart by: a short name that stays, whatever a message says."""

from enum import StrEnum


class Code(StrEnum):
    """What is wrong; docs/troubleshooting.md has an entry for each."""

    NOT_A_FILE = "merge.not-a-file"
    DAMAGED = "merge.damaged"
    DAMAGED_STRATEGY = "merge.strategy-damaged"
    DAMAGED_MANIFEST = "merge.manifest-damaged"
    UNSUPPORTED_LAYOUT = "merge.unsupported-layout"
    UNSUPPORTED_FORM = "merge.unsupported-form"
    NO_SHARDS = "merge.no-shards"
    SHARDS_INCOMPLETE = "merge.shards-incomplete"
    TAGS_DIFFER = "merge.tags-differ"
    SEVERAL_PREFIXES = "merge.several-prefixes"
    SHARDS_MIXED = "merge.shards-mixed"
    ENTRIES_DIFFER = "merge.entries-differ"
    CHANGED = "merge.changed-meanwhile"
    NO_STRATEGY = "merge.no-strategy"
    STRATEGY_UNFIT = "merge.strategy-unfit"
    RANKS_DIFFER = "merge.ranks-differ"
    STAGES_INCOMPLETE = "merge.stages-incomplete"
    REPLICAS_DIFFER = "merge.replicas-differ"
    UNHEALTHY = "merge.unhealthy"
    NOTHING_TO_KEEP = "merge.nothing-to-keep"
    NO_ADAPTERS = "merge.no-adapters"
    ADAPTERS_UNFIT = "merge.adapters-unfit"
    NOT_FINITE = "merge.not-finite"
    OUTPUT_EXISTS = "merge.output-exists"
    UNDER_WAY = "merge.under-way"
    NO_SPACE = "merge.no-space"
