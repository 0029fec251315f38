"""What a script can see of a page's look: text that is cut, text upon text, a page too wide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("looks.js").read_text("utf-8")


def complaints(page: Any) -> list[str]:
    """Everything that does not look right, in words."""
    found: list[str] = page.evaluate(_SCRIPT)
    return found


def inaccessible(page: Any) -> list[str]:
    """What axe finds serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['help']}: {json.dumps([n['html'][:200] for n in v['nodes'][:3]])}"
        for v in violations
        if v["impact"] in {"serious", "critical"}
    ]
