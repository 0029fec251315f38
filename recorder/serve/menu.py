"""Descriptions of tables and queries for the page's menus and forms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recorder.answers import canned
from recorder.plot import spec
from recorder.schema.tables import TABLES


def columns(table: str) -> list[dict[str, str]]:
    """Return the columns of a table: name, type and description."""
    return [
        {"name": c.name, "type": c.plain_type, "description": c.comment}
        for c in TABLES[table].columns
    ]


def query(query: canned.Query, feeds: list[str]) -> dict[str, Any]:
    """Return a canned query with its parameters and columns; a parameter `feed` lists the feeds."""
    params = [
        {"name": p.name, "type": p.type, "default": p.default, "description": p.meaning}
        | ({"values": feeds} if p.name == "feed" else {})
        for p in query.parameters
    ]
    described: dict[str, Any] = {
        "name": query.name,
        "title": query.title,
        "description": query.description,
        "topic": query.topic or "More",
        "params": params,
        "columns": [{"name": c.name, "description": c.meaning} for c in query.columns],
    }
    return described | ({"plot": asdict(spec.parse(query.plot))} if query.plot else {})
