"""The tree of errors that a user can meet.

    RecorderError                 1   anything that failed
    ├── UsageError                2   a wrong name, value or path on the command line
    │   └── ConfigError           2   a wrong or missing setting
    ├── NotConnectedError         3   no feed connected in time
    ├── CredentialsError          4   a key is missing, refused or expired
    ├── DataError                 1   a file on disk is damaged or from another version
    ├── StoreError                1   a bucket is away, is not there, or refuses
    ├── CatalogueError            1   a venue's list of instruments is unavailable
    ├── BusyError                 1   another process holds what this one needs
    ├── LookAheadError            1   a read beyond the replay's present
    └── StrategyError             1   a strategy raised, or ordered what cannot be ordered

Each says what happened, where, and what to do next; the number is the process's exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: The name on the package index. The command and the import are `recorder`.
DISTRIBUTION = "feed-recorder"


class RecorderError(Exception):
    """What happened, where (`file:key`, a path, an endpoint) and what to do next."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class UsageError(RecorderError):
    """A wrong name, value or path on the command line."""

    exit_code = 2


class ConfigError(UsageError):
    """A wrong or missing setting."""


class NotConnectedError(RecorderError):
    """No feed connected in time, or none stayed connected."""

    exit_code = 3


class CredentialsError(RecorderError):
    """A key is missing, refused or expired."""

    exit_code = 4


class DataError(RecorderError):
    """A file on disk is damaged, incomplete or from another version."""


class OtherVersionError(DataError):
    """The database has the tables of another version."""


class StoreError(RecorderError):
    """A bucket is away, is not there, or refuses.

    `away`: it may be back soon. `denied`: this key may not do that.
    """

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", away: bool = False,
        denied: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(what, where=where, hint=hint)
        self.away, self.denied = away, denied


class CatalogueError(RecorderError):
    """A venue's list of instruments is unavailable."""


class BusyError(RecorderError):
    """Another process holds what this one needs."""


class LookAheadError(RecorderError):
    """A read beyond the replay's present: what had not been received yet."""


class StrategyError(RecorderError):
    """A strategy raised, or ordered what cannot be ordered."""


def install_hint(extra: str) -> str:
    """Return the command that installs the recorder with one of its extras."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known words, or all of them if none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"'{name}'" for name in near) + "?"
    return "known: " + ", ".join(names)
