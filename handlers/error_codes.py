"""The code of any exception, for anyone who has only that."""

import errno

from handlers.ckpt.errors import CkptError
from handlers.codes import Code
from handlers.errors import HandlerError
from handlers.host.reach import DoesNotAnswerError
from handlers.host.shortages import shortage

_OF_THE_HOST = {
    errno.ENOSPC: Code.HOST_DISK_FULL,
    errno.EDQUOT: Code.HOST_DISK_FULL,
    errno.EFBIG: Code.HOST_DISK_FULL,
    errno.EROFS: Code.HOST_READ_ONLY,
    errno.EACCES: Code.HOST_NOT_ALLOWED,
    errno.EPERM: Code.HOST_NOT_ALLOWED,
    errno.ENOENT: Code.HOST_NOT_THERE,
    errno.ENOTDIR: Code.HOST_NOT_THERE,
    errno.EISDIR: Code.HOST_NOT_THERE,
    errno.ELOOP: Code.HOST_NOT_THERE,
    errno.EIO: Code.HOST_DISK_ERROR,
    errno.ESTALE: Code.HOST_NO_ANSWER,
    errno.ETIMEDOUT: Code.HOST_NO_ANSWER,
}
"""By an OSError's number."""


def code_of(error: BaseException) -> Code:
    """Return what programs tell `error` from others by; what nobody foresaw is a defect."""
    if isinstance(error, CkptError):
        return Code(error.code)
    if isinstance(error, HandlerError):
        return error.code
    if isinstance(error, DoesNotAnswerError):
        return Code.HOST_NO_ANSWER
    if shortage(error):
        return Code.HOST_SHORTAGE
    if isinstance(error, OSError):
        return _OF_THE_HOST.get(error.errno or 0, Code.HOST_ERROR)
    return Code.GLMD_DEFECT
