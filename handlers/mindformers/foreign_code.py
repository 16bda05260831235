"""How a YAML makes MindFormers run code that is neither MindFormers' own nor MindSpore's.

Read in the wheels of 0.8, 1.3.2 and 1.6 to 1.9, in what each imports by name, unpickles or starts, and in the
run_mindformer.py of r1.8.0.
"""

from collections.abc import Mapping
from enum import StrEnum

from handlers.mindformers.version import Lifetime, Version


class ForeignCode(StrEnum):
    """Ways in which foreign code comes to run, as `training.allow_code` in the settings names them."""

    REGISTER_PATH = "register_path"
    """Modules of a directory that the YAML names."""
    TRUST_REMOTE_CODE = "trust_remote_code"
    """Modules that lie beside a model, a tokenizer or a data set, here or on a hub."""
    PICKLE = "pickle"
    """Data in Python's pickle, which can hold any call."""
    STRESS_TEST = "stress_test"
    """A training in the training, by a shell, of a YAML that nobody has checked."""


REGISTER_PATH = "register_path"
"""The key for run_mindformer.py's `--register_path`: of itself that registers nothing, auto_register does."""
AUTO_REGISTER = "auto_register"
"""`module.Class` beside a `type`: tools/register/register.py imports it from the register path."""

KEYS: Mapping[str, ForeignCode] = {
    REGISTER_PATH: ForeignCode.REGISTER_PATH,
    AUTO_REGISTER: ForeignCode.REGISTER_PATH,
    "auto_map": ForeignCode.REGISTER_PATH,  # model_runner.py
    "trust_remote_code": ForeignCode.TRUST_REMOTE_CODE,  # of tokenizers, of data sets, at the top
}
"""Keys that do it wherever they stand, unless their value counts as false: a text never does, 'False' neither."""

CLASSES: Mapping[str, ForeignCode] = {
    "Cifar100DataLoader": ForeignCode.PICKLE,  # dataset/dataloader/cifar100_dataloader.py, before 1.6
    "StressTestModelMonitor": ForeignCode.STRESS_TEST,  # core/callback/callback.py, from 1.6 on
}
"""Values of `type` that do it."""

LOAD_FUNCTION = "load_func"
"""HFDataLoader's: any name in Hugging Face's datasets."""
LOAD_FUNCTIONS = frozenset({"load_dataset", "load_from_disk"})
"""Those that only read; of others nobody has looked."""
PICKLED_FORMATS = frozenset({"pandas"})
"""What `load_dataset` reads by unpickling."""
DATA_SET_SCRIPTS = Lifetime(Version(1, 3), Version(1, 7))
"""The versions that want datasets 2.18, which runs a data set's script, NAME/NAME.py, unasked; 4.0 runs none."""
