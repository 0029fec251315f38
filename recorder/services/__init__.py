"""How services treat clients in a replay: one optional file for each feed, found by its kind.

Capture does not load this package. A plug-in adds the service of its feed by the entry point group
below.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec

from recorder.feeds import KINDS, offered
from recorder.service import Service

#: Other packages offer `name = "package.module:SERVICE"` here, under the name of their feed.
ENTRY_POINTS = "recorder.services"


def service(kind: str) -> Service:
    """Return how the service of this kind of feed treats its clients.

    A kind without such a file, and an unknown kind, get the defaults: every client gets everything
    that was recorded.

    Raises:
        ConfigError: a package offers a service that cannot be used.
    """
    if kind in KINDS:
        module = f"{__name__}.{kind}"
        known = import_module(module).SERVICE if find_spec(module) else Service()
        assert isinstance(known, Service)
        return known
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    return offered(points[kind], Service) if kind in points else Service()
