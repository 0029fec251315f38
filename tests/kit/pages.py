"""Generated pages: compared with what the code makes of them, or written again."""

from __future__ import annotations

import os
from pathlib import Path

#: Set by `make docs`: pages are written, not compared.
WRITING = bool(os.environ.get("UPDATE_DOCS"))

ROOT = Path(__file__).parents[2]


def generated(name: str, text: str) -> None:
    """Compare a page below the root of the repository with its generated text, or write it.

    Raises:
        AssertionError: the page differs; the message says how to write it again.
    """
    page = ROOT / name
    if WRITING:
        page.write_text(text, "utf-8")
    assert page.read_text("utf-8") == text, f"{name} is generated: run `make docs` to write it"
