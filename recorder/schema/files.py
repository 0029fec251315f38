"""The place of the SQL files: in the repository, or inside the installed package."""

from __future__ import annotations

from pathlib import Path


def sql_directory() -> Path:
    """Return the directory of the SQL files: in an installed package, or beside a checkout's."""
    package = Path(__file__).parents[1]
    installed = package / "queries"
    return installed if installed.exists() else package.parent / "queries"
