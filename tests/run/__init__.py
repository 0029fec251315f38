"""The supervisor and what it tells, with real child processes."""

import sys
from pathlib import Path

_CAPTURE = str(Path(__file__).parents[1] / "capture")
if _CAPTURE not in sys.path:  # its scripted servers and captures serve here too
    sys.path.append(_CAPTURE)
