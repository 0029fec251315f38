"""Where the SQL files are: in the repository, or inside the installed package."""

from __future__ import annotations

from pathlib import Path


def sql_directory() -> Path:
    """Where the SQL files are: inside an installed package, or in a checkout beside it."""
    package = Path(__file__).parents[1]
    installed = package / "queries"
    return installed if installed.exists() else package.parent / "queries"
