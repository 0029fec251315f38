"""bash's view of a line that it completes."""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)


class _Bash(BashComplete):
    """Click's, but it sees the line as typed: bash itself cuts `whales:BTC` into three words."""

    source_template = BashComplete.source_template.replace(
        'COMP_WORDS="${COMP_WORDS[*]}"', 'COMP_TYPED="${COMP_LINE:0:$COMP_POINT}"'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_TYPED", "")
        words = split_arg_string(line)
        self._incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], self._incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Only what follows the last colon is the word that bash replaces."""
        known = self._incomplete[: self._incomplete.rfind(":") + 1]
        return f"{item.type},{item.value.removeprefix(known)}"


def register() -> None:
    """Let click use it."""
    add_completion_class(_Bash, "bash")
