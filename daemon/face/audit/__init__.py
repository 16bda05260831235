"""Whether root and store agree: what `glmd doctor --state` says, and what the tests of crashes and faults ask.

It only reads, with the daemon up or down, and goes by the files and rows themselves: the store is read row by row, not
through the code that writes it.
"""

from daemon.face.audit.check import check_state
from daemon.face.audit.disagreement import Disagreement, Kind

__all__ = ["Disagreement", "Kind", "check_state"]
