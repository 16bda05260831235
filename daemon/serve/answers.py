"""What the daemon answers to anyone who asks at its socket (daemon.core.control)."""

import sqlite3
from collections.abc import Callable

from daemon.core.error_codes import code_of
from daemon.core.request import Pending, Request, RequestRefusedError
from daemon.core.store import Store
from daemon.core.users import User
from daemon.serve.jobs.promotion_requests import PromotionRequests
from daemon.serve.jobs.pruning import Pruner
from daemon.serve.jobs.requests import Requests
from daemon.serve.loop.faults import Defect, Faults, concerns_the_store
from handlers.codes import Code
from handlers.printable import printable

_LONGEST_NAME = 64
"""Characters of whom somebody asks for."""


class Answers:
    """Does what is asked for. For the loop's thread; `headline` and `reload` are the service's."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        requests: Requests,
        promotion_requests: PromotionRequests,
        pruner: Pruner,
        headline: Callable[[], str],
        reload: Callable[[], str],
    ) -> None:
        self._store = store
        self._faults = faults
        self._requests = requests
        self._promotion_requests = promotion_requests
        self._pruner = pruner
        self._headline = headline
        self._reload = reload

    def answer(self, request: Request, by: User) -> str | Pending:
        """Do what the client `by` asks; raises RequestRefusedError."""
        try:
            return self._answer(request, User(by.number, printable(request.by[:_LONGEST_NAME])))
        except RequestRefusedError:
            raise
        except Exception as error:
            if concerns_the_store(error):
                raise
            defect = self._faults.defect(f"request {request.action:.20}", error, lambda _: None)
            raise RequestRefusedError(f"{defect.reason}; its traceback is in the daemon's log", Defect.CODE) from error

    def _answer(self, request: Request, by: User) -> str | Pending:
        match request.action, request.job:
            case "ping", _:
                return self._headline()
            case "trouble", _:
                return self._faults.summary
            case "prune", _:
                self._requests.refuse_strangers(None, by)
                return self._pruner.ask(by)
            case "reload", _:
                return self._reload()
            case ("cancel" | "retry" | "promote", int()) | ("rollback", _):
                try:
                    return self._answer_about(request, by)
                except (KeyError, OverflowError):  # the latter for a number that no row can have
                    raise RequestRefusedError(f"there is no job {request.job}", Code.JOB_NONE) from None
                except (OSError, sqlite3.Error) as error:
                    reason = f"not now: {error}; fix that, and ask again"
                    raise RequestRefusedError(reason, code_of(error)) from error
            case _:
                reason = f"this glmd does not know how to {request.action:.100}"
                raise RequestRefusedError(reason, Code.DAEMON_REQUEST)

    def _answer_about(self, request: Request, by: User) -> str | Pending:
        """Do what is asked of a job, or of an output. Raises also KeyError for no job, OSError and sqlite3.Error."""
        if request.job is None:
            return self._promotion_requests.roll_back(request, None, by)
        job = self._store.job(request.job)
        match request.action:
            case "cancel":
                return self._requests.cancel(job, by)
            case "retry":
                return self._requests.retry(job, by)
            case "promote":
                return self._promotion_requests.promote(job, request, by)
            case _:
                return self._promotion_requests.roll_back(request, job, by)
