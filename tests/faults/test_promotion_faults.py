"""Whatever call of a promotion fails, and however: it is made in the end, and the link leads to a whole output."""

import errno
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from daemon.serve.loop.faults import concerns_the_store
from tests.faults.injection import NUMBERS, Call, Injection
from tests.unit.daemon.serve.jobs.promoter import Promoter

MADE = (Call.OPEN, Call.WRITE, Call.FSYNC, Call.RENAME, Call.LINK, Call.COMMIT, Call.COMMITTED)
"""What a promotion does."""
CASES = [(call, number) for call in MADE for number in NUMBERS[call]]


class FaultyPromoter(Promoter):
    """It goes on where a fault concerns the store, as the daemon's loop does."""

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn until that is so."""

        def tolerant() -> bool:
            try:
                return condition()
            except Exception as error:
                if not concerns_the_store(error) and not isinstance(error, OSError):
                    raise
                return False

        while True:
            try:
                super().until(tolerant, what)
            except Exception as error:
                if not concerns_the_store(error) and not isinstance(error, OSError):
                    raise
            else:
                return


def named(value: int) -> str:
    """Name a case."""
    return errno.errorcode.get(value, str(value))


def run(path: Path, injection: Injection) -> None:
    """Promote a second job, let the fault come, and look at the end."""
    with pytest.MonkeyPatch.context() as patch:
        injection.install(patch)
        place = FaultyPromoter(path)
        one, two = place.done(), place.job()
        injection.is_armed = True
        place.settle(two)
        injection.is_armed = False
        place.until(lambda: place.links.is_sure("glm-6b"), "the link to follow")
        assert place.leads_to == two.id
        assert place.rows() == [("promotion", one.id), ("promotion", two.id)]
        assert place.newest().followed
        assert [each.name for each in place.root.latest.iterdir() if not each.name.startswith(".")] == ["glm-6b"]
        place.end()
    shutil.rmtree(path)


@pytest.mark.parametrize(("call", "number"), CASES, ids=named)
@pytest.mark.parametrize("times", (1, 5))
def test_a_fault_holds_a_promotion_up_and_no_more(quick: Path, call: Call, number: int, times: int) -> None:
    """The first such call fails, the second, … until none is left to fail; and several on end, which last a while."""
    first = 0
    for first in count(1):
        path = quick / str(first)
        path.mkdir()
        injection = Injection(call, number, first, path / "root", times)
        run(path, injection)
        if not injection.fired:
            break
    assert first > 1, "the fault hit nothing: the injection is not where the calls are"
