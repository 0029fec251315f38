"""The routes: the page, its live connection, questions, frames, health and metrics."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from recorder.answers import canned
from recorder.errors import BusyError, DataError, RecorderError, UsageError
from recorder.record.layout import Layout
from recorder.schema.tables import TABLES
from recorder.serve import calendar, frames, guard, menu, sockets, wanted
from recorder.serve.ask import Answer, Asking
from recorder.serve.guard import Door, Guard, Tries, refuse
from recorder.serve.hub import Hub
from recorder.version import __version__

PAGE = Path(__file__).parent / "page"

_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
_FRAMES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes stand on."""

    layout: Layout
    hub: Hub
    asking: Asking
    door: Door
    metrics: Callable[[], str]


class Routes:
    """One method per route; each raises a RecorderError where it must refuse."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tries = Tries()
        self._frames = asyncio.Semaphore(_FRAMES_AT_ONCE)
        self._queries = canned.load()

    # -- the page

    async def page(self, request: Request) -> Response:
        """The one page."""
        return FileResponse(PAGE / "index.html")

    async def login_form(self, request: Request) -> Response:
        """The form that asks for the token."""
        if self._parts.door.token is None:
            return RedirectResponse("/", 303)
        return FileResponse(PAGE / "login.html", 401 if "wrong" in request.query_params else 200)

    async def login(self, request: Request) -> Response:
        """The token, exchanged for a cookie."""
        if self._tries.exhausted:
            return refuse(429, "too many wrong tokens", "try again in a minute")
        async with request.form(max_files=0, max_fields=10) as form:
            given = form.get("token")
        if not isinstance(given, str) or not self._parts.door.opens(given.strip()):
            self._tries.failed()
            return RedirectResponse("/login?wrong=1#wrong", 303)
        answer = RedirectResponse("/", 303)
        until = int(time.time()) + guard.SESSION_SECONDS
        answer.set_cookie(
            guard.COOKIE,
            self._parts.door.session(until),
            max_age=guard.SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    async def logout(self, request: Request) -> Response:
        """Take the cookie back."""
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(guard.COOKIE, httponly=True, samesite="strict")
        return answer

    # -- health

    async def healthz(self, request: Request) -> Response:
        """200 while the process turns."""
        return _json({"ok": True})

    async def readyz(self, request: Request) -> Response:
        """200 while a feed is fresh, else 503."""
        status = self._parts.hub.lookout.status
        ready = status is not None and status.ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def status(self, request: Request) -> Response:
        """How everything is."""
        told = self._parts.hub.lookout.told
        if told is None:
            raise BusyError("nothing is known yet", hint="try again in a second")
        return _json(told)

    async def metrics(self, request: Request) -> Response:
        """The same for Prometheus."""
        text = await asyncio.to_thread(self._parts.metrics)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    # -- what can be asked

    async def meta(self, request: Request) -> Response:
        """Tables, feeds and queries, for menus and forms."""
        self._parts.asking.prepare()
        feeds = await asyncio.to_thread(self._parts.layout.feeds)
        return _json(
            {
                "version": __version__,
                "data_dir": str(self._parts.layout.root),
                "host": socket.gethostname(),
                "tables": {name: menu.columns(name) for name in TABLES},
                "feeds": feeds,
                "queries": [menu.query(query, feeds) for query in self._queries.values()],
            }
        )

    async def query(self, request: Request) -> Response:
        """The answer of a canned query."""
        name, kind = request.path_params["name"], request.path_params["format"]
        if name not in self._queries or kind not in _TYPES:
            return refuse(404, "no such query", "GET /api/meta lists them; .json or .csv")
        given: dict[str, str] = {}
        for key, value in request.query_params.multi_items():
            if key in given:
                raise UsageError(f"parameter '{key[:40]}' is given twice")
            self._queries[name].parameter(key)
            given[key] = value
        asked = {"kind": "query", "name": name, "params": given, "format": kind}
        return _answer(await self._parts.asking.ask(asked), kind, name)

    async def sql(self, request: Request) -> Response:
        """The answer of anyone's SQL, as `recorder sql` allows it."""
        kind = request.path_params["format"]
        if kind not in _TYPES:
            return refuse(404, "no such format", "/api/sql.json or /api/sql.csv")
        asked = {"kind": "sql", "sql": await wanted.sql(request), "format": kind}
        return _answer(await self._parts.asking.ask(asked), kind, "answer")

    async def coverage(self, request: Request) -> Response:
        """The calendar: per feed and day, how long it was listened to."""
        days = wanted.number(request, "days", 30, 1, calendar.MOST_DAYS)
        asked = {"kind": "coverage", "params": {"days": str(days)}}
        answer = await self._parts.asking.ask(asked)
        if answer.status != 200:
            return _answer(answer, "json", "")
        told = calendar.shaped(msgspec.json.decode(answer.body), days, datetime.now(UTC).date())
        return _json(told)

    async def gaps(self, request: Request) -> Response:
        """The gaps of one feed that touch one day."""
        given = {name: wanted.text(request, name) for name in ("feed", "day")}
        given["day"] = calendar.day_of(given["day"])
        return _answer(await self._parts.asking.ask({"kind": "gaps", "params": given}), "json", "")

    async def series(self, request: Request) -> Response:
        """What was counted since serve began."""
        seconds = wanted.number(request, "seconds", 900, 1, 86_400)
        what = request.query_params.get("what", "rates")
        if what not in {"rates", "latency"}:
            raise UsageError(f"no series '{what[:40]}'", hint="what=rates or what=latency")
        return _json(self._parts.hub.read(what, seconds))

    async def frame(self, request: Request) -> Response:
        """One exact raw frame, as JSON or as the bytes."""
        numbers = [
            wanted.number(request, name, None, 0, (1 << 63) - 1) for name in ("seq", "recv_ns")
        ]
        feed, connection = wanted.text(request, "feed"), wanted.text(request, "connection")
        place = frames.Place(feed, connection, *numbers)
        async with self._frames:
            found = await asyncio.to_thread(frames.find, self._parts.layout, place)
        if request.query_params.get("download"):
            name = f"frame-{place.recv_ns}-{place.seq}.bin"
            headers = {"content-disposition": f'attachment; filename="{name}"'}
            return Response(found.payload, 200, headers, "application/octet-stream")
        return _json(frames.told(place, found))


# -- answers


def _json(told: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(told), status, media_type="application/json")


def _answer(answer: Answer, kind: str, name: str) -> Response:
    if answer.status != 200:
        return Response(answer.body, answer.status, media_type="application/json")
    headers = (
        {"content-disposition": f'inline; filename="{name}.{kind}"'} if kind == "csv" else None
    )
    return Response(answer.body, 200, headers, _TYPES[kind])


# -- errors

_STATUS: Mapping[type[RecorderError], int] = {UsageError: 400, BusyError: 503, DataError: 404}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RecorderError)
    found = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return refuse(next(found, 422), error.what, error.hint, error.where)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = "see docs/serve.md for what there is" if error.status_code == 404 else ""
    return refuse(error.status_code, error.detail.lower(), hint)


async def _broken(request: Request, error: Exception) -> Response:
    return refuse(500, f"a fault of the server: {type(error).__name__}", "its log says more")


def create(parts: Parts) -> Starlette:
    """The application; its life begins and ends the hub's."""
    at = Routes(parts)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        parts.hub.start()
        parts.asking.prepare()
        try:
            yield
        finally:
            await parts.hub.close()
            await parts.asking.close()

    routes = [
        Route("/", at.page),
        Route("/login", at.login_form, methods=["GET"]),
        Route("/login", at.login, methods=["POST"]),
        Route("/logout", at.logout, methods=["POST"]),
        Route("/healthz", at.healthz),
        Route("/readyz", at.readyz),
        Route("/metrics", at.metrics),
        Route("/api/status", at.status),
        Route("/api/meta", at.meta),
        Route("/api/query/{name}.{format}", at.query),
        Route("/api/sql.{format}", at.sql, methods=["POST"]),
        Route("/api/frame", at.frame),
        Route("/api/coverage", at.coverage),
        Route("/api/gaps", at.gaps),
        Route("/api/series", at.series),
        WebSocketRoute("/api/live", sockets.endpoint(parts.hub)),
        Mount("/page", StaticFiles(directory=PAGE, check_dir=False)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, door=parts.door)],
        exception_handlers={
            RecorderError: _refused,
            HTTPException: _no_route,
            Exception: _broken,
        },
        lifespan=lifespan,
    )
