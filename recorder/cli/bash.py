"""Completion in bash: click's, but for values that contain a colon."""

from __future__ import annotations

import os

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    split_arg_string,
)


class _Bash(BashComplete):
    """Click's completion, but from the line as typed: bash splits `whales:BTC` at the colon."""

    source_template = BashComplete.source_template.replace(
        'COMP_WORDS="${COMP_WORDS[*]}"', 'COMP_TYPED="${COMP_LINE:0:$COMP_POINT}"'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_TYPED", "")
        words = split_arg_string(line)
        self._incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], self._incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return the item without what precedes its last colon: bash replaces only the rest."""
        prefix = self._incomplete[: self._incomplete.rfind(":") + 1]
        return f"{item.type},{item.value.removeprefix(prefix)}"


def register() -> None:
    """Make click complete bash with this class."""
    add_completion_class(_Bash, "bash")
