"""Advice with the numbers of whom it concerns."""

from handlers.rank_log.advice import filled_in


def test_letters_in_commands_become_numbers() -> None:
    """N is the job, R the rank, D the device; what is not given stays, and may be given later."""
    text = "`glmd logs N --rank R`; `hccn_tool -i D -link -g`, then `glmd retry N` or `glmd cancel N`"
    of_rank = filled_in(text, rank=0, device=4)
    assert of_rank == "`glmd logs N --rank 0`; `hccn_tool -i 4 -link -g`, then `glmd retry N` or `glmd cancel N`"
    assert filled_in(of_rank, job=42) == of_rank.replace(" N", " 42")


def test_other_letters_stay() -> None:
    """Only in glmd's own commands and hccn_tool's are they numbers."""
    text = "in state D (`ss -ltnp N`): RANK_N, rank R, `glmd demo`; `glmd rank-table check FILE`; `hccn_tool -i N`"
    assert filled_in(text, job=42, rank=1, device=2) == text
