"""Exit statuses of every command.

====== ========================================================
status meaning
====== ========================================================
0      valid: everything that was asked was judged, and held
1      invalid: something is wrong in the system under test
2      unknown: too little was seen, it was flaky, or a service did not even start; not a pass
3      usage: the command line, a file given to it, or a part that this machine lacks
4      an error of misstep or of this machine
130    interrupted
====== ========================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VALID: Final = 0
INVALID: Final = 1
UNKNOWN: Final = 2
USAGE: Final = 3
OWN_ERROR: Final = 4
INTERRUPTED: Final = 130

STATUS: Final[Mapping[str, int]] = {"valid": VALID, "invalid": INVALID, "unknown": UNKNOWN, "flaky": UNKNOWN}
"""The status of each answer."""
