"""The worked numbers of a page: the last column of its table of figures."""

from __future__ import annotations

import re

from kit.pages import ROOT

MINUS = "\N{MINUS SIGN}"


def worked(page: str) -> dict[str, list[float]]:
    """Return, for each figure of a page's table, the numbers behind the last colon of its row."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    table = text.partition("| figure | formula | worked |\n|---|---|---|\n")[2].partition("\n\n")[0]
    result = {}
    for line in table.splitlines():
        figure, *_, last = (cell.strip() for cell in line.strip("|").split("|"))
        last = last.rpartition(":")[2].replace(MINUS, "-").replace("$", "")
        numbers = re.findall(r"-?\d[\d,]*\.?\d*", last)
        result[figure.replace("`", "")] = [
            float(one.rstrip(",").replace(",", "")) for one in numbers
        ]
    return result
