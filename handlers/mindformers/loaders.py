"""The data loaders of MindFormers: which of their keys name what they read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from handlers.mindformers.version import ALWAYS, Lifetime, Version


class Reads(Enum):
    """What a key names."""

    FILE = auto()
    """A file, or a list of them."""
    DIRECTORY = auto()
    EITHER = auto()
    """A file or a directory."""
    PREFIX = auto()
    """What PREFIX.bin and PREFIX.idx have in common."""
    BLEND = auto()
    """A list of prefixes, or of weights and prefixes in turn."""
    HUB = auto()
    """What `load_dataset` of Hugging Face's datasets takes: a directory, a format, or a data set's name on a hub."""
    PARTS = auto()
    """A list of data loaders."""


@dataclass(frozen=True)
class Loader:
    """A data loader, and where its data comes from."""

    sources: Mapping[str, Reads]
    """By key, dotted where it lies deeper. Of these one must be there; the first that is there counts."""
    lifetime: Lifetime = ALWAYS
    """The versions that have it."""
    makes_up: bool = False
    """Whether it trains on made-up data where it has none of them."""


_MINDSPORE = Loader({"dataset_dir": Reads.EITHER, "dataset_files": Reads.FILE})
_OF_OTHER_TASKS = Loader({"dataset_dir": Reads.DIRECTORY}, Lifetime(before=Version(1, 6)))
_LINE_FILE = {"dataset_dir": Reads.FILE}
_TEXTS = {"dataset_dir": Reads.EITHER}
_DATASETS = {"path": Reads.HUB, "dataset_path": Reads.DIRECTORY}

LOADERS: Mapping[str, Loader] = {
    # MindSpore's own, for which dataset/*_dataset.py looks for files below dataset_dir.
    "MindDataset": _MINDSPORE,
    "TFRecordDataset": _MINDSPORE,
    "ImageFolderDataset": Loader({"dataset_dir": Reads.DIRECTORY}),
    # dataset/dataloader/*.py of 0.8; ADGen's dataset_dir is, whatever its name, one file.
    "ADGenDataLoader": Loader(_LINE_FILE),
    "CLUENERDataLoader": _OF_OTHER_TASKS,
    "Cifar100DataLoader": _OF_OTHER_TASKS,
    "Flickr8kDataLoader": _OF_OTHER_TASKS,
    "MultiImgCapDataLoader": Loader({"dataset_dir": Reads.DIRECTORY}, Lifetime(before=Version(1, 5))),
    "SQuADDataLoader": _OF_OTHER_TASKS,
    "WMT16DataLoader": _OF_OTHER_TASKS,
    # … of 1.0
    "MultiSourceDataLoader": Loader({"sub_data_loader": Reads.PARTS}, Lifetime(Version(1, 0))),
    "SFTDataLoader": Loader(_TEXTS, Lifetime(Version(1, 0))),
    "TrainingDataLoader": Loader(_TEXTS, Lifetime(Version(1, 0))),
    # … of 1.1
    "ToolAlpacaDataLoader": Loader(_LINE_FILE, Lifetime(Version(1, 1))),
    # … of 1.3
    "BaseMultiModalDataLoader": Loader({"annotation_file": Reads.FILE}, Lifetime(Version(1, 3))),
    "CommonDataLoader": Loader(_DATASETS, Lifetime(Version(1, 3))),
    "IndexedDataLoader": Loader({"path_prefix": Reads.PREFIX}, Lifetime(Version(1, 3))),
    # … of 1.5; without a path dataset/blended_datasets/blended_megatron_dataset_config.py sets `mock`.
    "BlendedMegatronDatasetDataLoader": Loader(
        {
            "config.data_path": Reads.BLEND,
            "config.train_data_path": Reads.BLEND,
        },
        Lifetime(Version(1, 5)),
        makes_up=True,
    ),
    # … of 1.7
    "HFDataLoader": Loader(_DATASETS, Lifetime(Version(1, 7))),
}

DIRECTORY_OR_FILES = _MINDSPORE
"""How most loaders name their data: what is looked at where the loader is not known."""

FORMATS = frozenset(
    {"arrow", "audiofolder", "csv", "imagefolder", "json", "pandas", "parquet", "sql", "text", "webdataset", "xml"}
)
"""Names that `load_dataset` takes for the format of data_files, and not for a data set."""
