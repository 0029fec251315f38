"""`python -m recorder.cli.child PID …`: the command line, for as long as the process PID lives."""

from __future__ import annotations

import sys

from recorder.child import die_with
from recorder.cli import main

if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    main(sys.argv[2:])
