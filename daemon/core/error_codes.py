"""The code of any exception in the daemon or a command: the store's and the socket's beside those of the handlers."""

import sqlite3

from daemon.core.control import NotRunningError, RequestRefusedError
from daemon.core.database import DamagedStoreError, NewerStoreError, StoreError
from daemon.core.store_files import StoreReplacedError
from handlers import error_codes
from handlers.codes import Code


def code_of(error: BaseException) -> str:
    """Return what programs tell `error` from others by; what nobody foresaw is a defect."""
    if isinstance(error, (NotRunningError, RequestRefusedError)):
        return error.code
    if isinstance(error, StoreReplacedError):
        return Code.STORE_REPLACED
    if isinstance(error, DamagedStoreError):
        return Code.STORE_DAMAGED
    if isinstance(error, NewerStoreError):
        return Code.STORE_NEWER
    if isinstance(error, (StoreError, sqlite3.Error)):
        return Code.STORE_UNUSABLE
    return error_codes.code_of(error)
