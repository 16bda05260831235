"""Advice with the numbers of whom it concerns."""

import pytest

from handlers.rank_log.advice import Parted, advice_text, filled_in, parted
from handlers.resume.decision import Ending, Failure, GiveUp, PastAttempt, Tries, decide


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


@pytest.mark.parametrize("resumes", (0, 3))
def test_a_reason_has_parts(resumes: int) -> None:
    """As the shim and the daemon write it: what happened, the advice, and why glmd left it at that."""
    happened, remedy = "rank 3 exited 1 first (09:14:07): it said; a thing", "look; then a smaller batch"
    reason = f"{happened}; {advice_text('no memory', remedy)}"
    failure = Failure(Ending.FAILED, reason, may_pass=resumes > 0 or False)
    decided = decide(PastAttempt(failure, Tries(resumes), began=None, saved=None, finished=False), limit=3)
    assert isinstance(decided, GiveUp)
    left = "glmd has done so 3 times (resume.attempts)" if resumes else "it would end the same way until you fix that"
    assert parted(decided.reason) == Parted(happened, remedy, left)


def test_a_reason_without_advice_is_what_happened() -> None:
    """Nothing of it is lost."""
    assert parted("cancelled by ann") == Parted("cancelled by ann", "", "")
    assert parted("") == Parted("", "", "")
