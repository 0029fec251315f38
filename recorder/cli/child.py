"""`python -m recorder.cli.child PID …`: the command line; it ends when the process PID ends."""

from __future__ import annotations

import sys

from recorder.cli import main
from recorder.supervision.child import die_with

if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    main(sys.argv[2:])
