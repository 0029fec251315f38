"""What can be asked, as menus and forms need it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recorder.answers import canned
from recorder.plot import spec
from recorder.schema.tables import TABLES


def columns(table: str) -> list[dict[str, str]]:
    """The columns of a table."""
    return [
        {"name": c.name, "type": c.type.split()[0], "description": c.comment}
        for c in TABLES[table].columns
    ]


def query(query: canned.Query, feeds: list[str]) -> dict[str, Any]:
    """A canned query with its parameters; of a parameter `feed` the values are known."""
    params = [
        {"name": p.name, "type": p.type, "default": p.default, "description": p.meaning}
        | ({"values": feeds} if p.name == "feed" else {})
        for p in query.parameters
    ]
    told: dict[str, Any] = {
        "name": query.name,
        "title": query.title,
        "description": query.description,
        "topic": query.topic or "More",
        "params": params,
        "columns": [{"name": c.name, "description": c.meaning} for c in query.columns],
    }
    return told | ({"plot": asdict(spec.parse(query.plot))} if query.plot else {})
