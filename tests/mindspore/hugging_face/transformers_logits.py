"""Runs in the environment of transformers: what models of its own class answer.

    transformers_logits.py MODEL-DIRECTORY…

reads ids.npy of each model's directory, and writes answer.npy there, and loaded.json: the class, the type, and the keys
that did not fit.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    """Do all models."""
    for directory in map(Path, sys.argv[1:]):
        words = torch.tensor(np.load(directory / "ids.npy").astype(np.int64))
        model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
        with torch.no_grad():
            logits = model.eval()(words).logits
        np.save(directory / "answer.npy", logits.float().numpy())
        unfit = {key: sorted(map(str, info[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
        said = {"class": type(model).__name__, "type": str(model.dtype), "unfit": unfit}
        (directory / "loaded.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
