"""What MindFormers prints of its metrics, as its own code prints it."""

import pytest

from handlers.mindformers.metric_lines import metrics_of

HEAD = "2026-11-29 10:37:37,837 - mindformers[base_trainer.py:733] - INFO - "


@pytest.mark.parametrize(
    ("text", "metrics"),
    (
        (
            "label is:\n rouge-1: 3\nmetric: ADGENMetric\nrouge-1: 10.4926\nrouge-2: 0.0000\nrouge-l: 3.1220\n"
            "bleu-4:  0.1292\n" + HEAD + "...........Evaluate Over!...............",
            {"rouge-1": 10.4926, "rouge-2": 0.0, "rouge-l": 3.122, "bleu-4": 0.1292},
        ),
        (HEAD + "PerplexityMetric = {'PerplexityMetric': {'loss': 2.5, 'PPL': 12.18}}", {"loss": 2.5, "PPL": 12.18}),
        (HEAD + "Accuracy = {'Top1 Accuracy': 0.5}", {"Top1 Accuracy": 0.5}),
        (
            "F1 score: 1.0, Em score: 0.5, current_count: 10\nF1 score: 12.5, Em score: 4, total_count: 18",
            {"F1": 12.5, "Em": 4.0},
        ),
        (
            "Current data num is 8, total acc num is 6, ACC is 0.750\nAcc: 0.731, total_acc_num: 57, total_num: 78",
            {"Acc": 0.731},
        ),
        (HEAD + "PerplexityMetric = {'PerplexityMetric': {'loss': nan, 'PPL': nan}}", {}),
        ("metric: ADGENMetric\nrouge-1: nan\nbleu-4: 3", {"bleu-4": 3.0}),
        (HEAD + "config = {'lr': __import__('os')}", {}),
        ("", {}),
        (HEAD + "x = {" + "{" * 5000, {}),
    ),
)  # fmt: skip
def test_metrics_are_read(text: str, metrics: dict[str, float]) -> None:
    """Numbers that are none are not told."""
    assert metrics_of(text.split("\n")) == metrics
