"""Runs modules of the recorder in forks of this process, which has imported everything already.

Each line on stdin is a JSON list: the file for stderr, then a command as after `python -m`. The
answers are lines, too: the pid of a fork, which waits for the line "go", and its exit code.
"""

import json
import os
import runpy
import sys
import threading

IMPORTED = (
    "duckdb pyarrow.parquet pyarrow.fs recorder.record.seal recorder.record.compact "
    "recorder.answers.canned recorder.bucket.remote recorder.bucket.upload recorder.cli.ingest "
    "recorder.cli.hosts recorder.cli.progress recorder.cli.prune recorder.cli.upload "
    "recorder.tables.backlog recorder.tables.ingest recorder.tables.prune "
    "recorder.tables.rebuild.difference recorder.tables.rebuild.run recorder.tables.rules "
    "recorder.capture.capture recorder.log rich.progress"
)


def _forked(said: str, module: str, *arguments: str) -> None:
    if sys.stdin.buffer.raw.read(3) != b"go\n":
        os._exit(99)
    stderr = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for ours, theirs in ((nothing, 0), (nothing, 1), (stderr, 2)):
        os.dup2(ours, theirs)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    """Answer requests until stdin ends."""
    for name in IMPORTED.split():
        __import__(name)
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads must not fork")
    while request := sys.stdin.buffer.raw.read(1 << 16):
        pid = os.fork()
        if not pid:
            _forked(*json.loads(request))
            sys.exit(0)
        os.write(1, b"%d\n" % pid)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
