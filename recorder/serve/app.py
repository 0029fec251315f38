"""The routes: the page, its live connection, queries, frames, health and metrics."""

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
from recorder.record.find import FramePlace
from recorder.record.layout import Layout
from recorder.schema.tables import TABLES
from recorder.serve import calendar, frames, guard, menu, parameters, sockets
from recorder.serve.ask import QueryPool, QueryReply
from recorder.serve.guard import Access, Guard, client_in, refuse
from recorder.serve.hub import Hub
from recorder.serve.wrong_tokens import WrongTokens
from recorder.version import __version__

PAGE = Path(__file__).parent / "page"

_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
_FRAMES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects that the routes use."""

    layout: Layout
    hub: Hub
    pool: QueryPool
    access: Access
    metrics: Callable[[], str]


class Routes:
    """The handlers, one per route. A RecorderError that one raises becomes the response."""

    def __init__(self, parts: Parts, wrong: WrongTokens) -> None:
        self._parts, self._wrong_tokens = parts, wrong
        self._frames = asyncio.Semaphore(_FRAMES_AT_ONCE)
        self._queries = canned.load()

    # -- the page

    async def page(self, request: Request) -> Response:
        """Return the page."""
        return FileResponse(PAGE / "index.html")

    async def login_form(self, request: Request) -> Response:
        """Return the form for the token."""
        if self._parts.access.token is None:
            return RedirectResponse("/", 303)
        return FileResponse(PAGE / "login.html", 401 if "wrong" in request.query_params else 200)

    async def login(self, request: Request) -> Response:
        """Set a session cookie if the form has the right token."""
        client = client_in(request.scope)
        if self._wrong_tokens.exhausted(client):
            return refuse(429, "too many wrong tokens", "try again in a minute")
        async with request.form(max_files=0, max_fields=10) as form:
            token = form.get("token")
        if not isinstance(token, str) or not self._parts.access.accepts(token.strip()):
            self._wrong_tokens.add(client)
            return RedirectResponse("/login?wrong=1#wrong", 303)
        self._wrong_tokens.right(client)
        response = RedirectResponse("/", 303)
        until = int(time.time()) + guard.SESSION_SECONDS
        response.set_cookie(
            guard.COOKIE,
            self._parts.access.session(until),
            max_age=guard.SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def logout(self, request: Request) -> Response:
        """Delete the session cookie."""
        response = RedirectResponse("/login", 303)
        response.delete_cookie(guard.COOKIE, httponly=True, samesite="strict")
        return response

    # -- health

    async def healthz(self, request: Request) -> Response:
        """Return 200 while the process responds."""
        return _json({"ok": True})

    async def readyz(self, request: Request) -> Response:
        """Return 200 while a feed is fresh, else 503."""
        status = self._parts.hub.poller.status
        ready = status is not None and status.ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def status(self, request: Request) -> Response:
        """Return the recorder's status as JSON."""
        latest = self._parts.hub.poller.latest
        if latest is None:
            raise BusyError("the status is not available yet", hint="try again in a second")
        return _json(latest)

    async def metrics(self, request: Request) -> Response:
        """Return the status as Prometheus metrics."""
        text = await asyncio.to_thread(self._parts.metrics)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    # -- queries

    async def meta(self, request: Request) -> Response:
        """Return the tables, feeds and queries, for menus and forms."""
        self._parts.pool.prepare()
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
        """Return the result of a canned query."""
        name, kind = request.path_params["name"], request.path_params["format"]
        if name not in self._queries or kind not in _TYPES:
            return refuse(404, "no such query", "GET /api/meta lists them; .json or .csv")
        given: dict[str, str] = {}
        for key, value in request.query_params.multi_items():
            if key in given:
                raise UsageError(f"parameter '{key[:40]}' occurs twice")
            self._queries[name].parameter(key)
            given[key] = value
        query = {"kind": "query", "name": name, "params": given, "format": kind}
        return _response(await self._parts.pool.run(query), kind, name)

    async def sql(self, request: Request) -> Response:
        """Return the result of a client's SQL, with the restrictions of `recorder sql`."""
        kind = request.path_params["format"]
        if kind not in _TYPES:
            return refuse(404, "no such format", "/api/sql.json or /api/sql.csv")
        query = {"kind": "sql", "sql": await parameters.sql(request), "format": kind}
        return _response(await self._parts.pool.run(query), kind, "answer")

    async def coverage(self, request: Request) -> Response:
        """Return the calendar: the coverage per feed and day."""
        days = parameters.number(request, "days", 30, 1, calendar.MOST_DAYS)
        query = {"kind": "coverage", "params": {"days": str(days)}}
        reply = await self._parts.pool.run(query)
        if reply.status != 200:
            return _response(reply, "json", "")
        today = datetime.now(UTC).date()
        return _json(calendar.shaped(msgspec.json.decode(reply.body), days, today))

    async def gaps(self, request: Request) -> Response:
        """Return the gaps of one feed that touch one day."""
        given = {name: parameters.text(request, name) for name in ("feed", "day")}
        given["day"] = calendar.day_of(given["day"])
        reply = await self._parts.pool.run({"kind": "gaps", "params": given})
        return _response(reply, "json", "")

    async def series(self, request: Request) -> Response:
        """Return the rates or latencies since serve began."""
        seconds = parameters.number(request, "seconds", 900, 1, 86_400)
        what = request.query_params.get("what", "rates")
        if what not in {"rates", "latency"}:
            hint = "what=rates or what=latency"
            raise UsageError(f"there is no series '{what[:40]}'", hint=hint)
        return _json(self._parts.hub.read(what, seconds))

    async def frame(self, request: Request) -> Response:
        """Return one raw frame, as JSON or as its bytes."""
        numbers = [
            parameters.number(request, name, None, 0, (1 << 63) - 1) for name in ("seq", "recv_ns")
        ]
        feed, connection = parameters.text(request, "feed"), parameters.text(request, "connection")
        place = FramePlace(feed, connection, *numbers)
        async with self._frames:
            found = await asyncio.to_thread(frames.read, self._parts.layout, place)
        if request.query_params.get("download"):
            name = f"frame-{place.recv_ns}-{place.seq}.bin"
            headers = {"content-disposition": f'attachment; filename="{name}"'}
            return Response(found.payload, 200, headers, "application/octet-stream")
        layout = self._parts.layout
        return _json(await asyncio.to_thread(frames.encoded, layout, place, found))


# -- responses


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _response(reply: QueryReply, kind: str, name: str) -> Response:
    if reply.status != 200:
        return Response(reply.body, reply.status, media_type="application/json")
    headers = (
        {"content-disposition": f'inline; filename="{name}.{kind}"'} if kind == "csv" else None
    )
    return Response(reply.body, 200, headers, _TYPES[kind])


# -- errors

_STATUS: Mapping[type[RecorderError], int] = {UsageError: 400, BusyError: 503, DataError: 404}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RecorderError)
    statuses = (status for kind, status in _STATUS.items() if isinstance(error, kind))
    return refuse(next(statuses, 422), error.what, error.hint, error.where)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hint = "docs/serve.md lists the routes" if error.status_code == 404 else ""
    return refuse(error.status_code, error.detail.lower(), hint)


async def _broken(request: Request, error: Exception) -> Response:
    return refuse(500, f"an error of the server: {type(error).__name__}", "see its log")


def create(parts: Parts) -> Starlette:
    """Return the application; it starts and closes the hub and the query pool."""
    wrong = WrongTokens()
    at = Routes(parts, wrong)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        parts.hub.start()
        parts.pool.prepare()
        try:
            yield
        finally:
            await parts.hub.close()
            await parts.pool.close()

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
        middleware=[Middleware(Guard, access=parts.access, wrong=wrong)],
        exception_handlers={
            RecorderError: _refused,
            HTTPException: _no_route,
            Exception: _broken,
        },
        lifespan=lifespan,
    )
