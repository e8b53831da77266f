"""The meaning of an HTTP request to the endpoint: the trust in its sender, the chain of its path, CORS.

Pure of sockets: a request in, a response (or the permission to upgrade) out. Two checks keep web pages
that the user did not choose away from a node on their own machine: the Host header must be a name of
this endpoint (a page that rebinds its DNS name to 127.0.0.1 sends its own name), and an Origin header
must be one of those that `rpc.origins` lets in. JSON must be declared as such, which makes browsers ask first
(preflight).
"""

import base64
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import httptools
import structlog
from wsproto.utilities import generate_accept_token

from rpc.dispatch import Dispatcher, Limit
from rpc.http import HttpRequest, HttpResponse, text_response
from rpc.origins import ANY, LOCAL_HOSTS, Origins, Trust

log = structlog.get_logger(__name__)

Route: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse | None]]
"""The answer to GET and HEAD on a further path, such as `/metrics`; None leaves it to the endpoint."""

MAX_ACCEPTED = 256
MAX_TELLING = 512  # bytes
_JSON_TYPES = (b"application/json", b"application/json-rpc", b"application/jsonrequest")
_SHARD_PATH = re.compile(rb"/shard/([0-9]{1,6})/?")
_PREFLIGHT = (
    b"Access-Control-Allow-Methods: POST, GET, OPTIONS",
    b"Access-Control-Allow-Headers: Content-Type",
    b"Access-Control-Max-Age: 600",
)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The request may become a WebSocket on this chain; `response` is the 101 that says so."""

    scope: int | None
    trust: Trust
    response: HttpResponse


@dataclass(frozen=True, slots=True)
class _Accepted:
    """Headers under which JSON-RPC is answered: the chain, the trust, and further headers of the answer."""

    scope: int | None
    trust: Trust
    cors: tuple[bytes, ...]


class Gateway:
    """The HTTP face of a dispatcher.

    `cors_origins`: origins of web pages that may ask besides those of this machine (`https://app.example`), "*"
    for any. `allowed_hosts`: names, besides those of the local machine, under which clients reach this
    endpoint; "*" turns the check off. Then only pages of another given name, or of an address, count as the
    endpoint's own. `routes`: further paths for GET.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        cors_origins: Iterable[str],
        allowed_hosts: Iterable[str],
        routes: Mapping[str, Route],
    ) -> None:
        self.dispatcher = dispatcher
        self._origins = Origins(cors_origins)
        hosts = {host.strip("[]").rstrip(".").lower() for host in allowed_hosts}
        self._any_host = ANY in hosts
        self._hosts = frozenset(host.encode() for host in (*LOCAL_HOSTS, *hosts))
        self._accepted: dict[tuple[bytes | None, ...], _Accepted] = {}  # clients repeat themselves
        self._routes = {path.encode(): route for path, route in routes.items()}

    async def respond(
        self, request: HttpRequest, limit: Limit | None = None
    ) -> HttpResponse | Upgrade:
        """The response to a request; the caller does what `Upgrade` permits. For `limit` see
        `Dispatcher.handle`."""
        posted = _telling(request)
        accepted = self._accepted.get(posted) if posted else None
        if accepted is not None:
            answer = await self.dispatcher.handle(
                request.body, accepted.scope, limit=limit, trust=accepted.trust
            )
            return _answer(answer, accepted.cors)
        trust = self._trust(request)
        if isinstance(trust, HttpResponse):
            return trust
        path = _path(request.target)
        cors = self._cors(request)
        if request.method == b"POST":
            return await self._post(request, path, trust, cors, limit)
        if request.method == b"OPTIONS":
            return _preflight(request, trust, cors)
        scope = _scope(path)
        if request.method in (b"GET", b"HEAD"):
            if path == b"/health":
                healthy, report = await self.dispatcher.health()
                return HttpResponse(200 if healthy else 503, report, headers=cors)
            if path == b"/healthz":
                return text_response(200, "alive", *cors)
            asks_websocket = request.headers.get(b"upgrade", b"").lower() == b"websocket"
            if request.upgrade and asks_websocket and not isinstance(scope, HttpResponse):
                return _upgrade(request, scope, trust)
            route = self._routes.get(path)
            if route is not None and (response := await self._routed(route, request, cors)):
                return response
            if isinstance(scope, HttpResponse):
                return scope
        return text_response(
            405,
            "this is a JSON-RPC endpoint: POST a request, or open a WebSocket",
            b"Allow: POST, OPTIONS",
            *cors,
        )

    async def _post(
        self,
        request: HttpRequest,
        path: bytes,
        trust: Trust,
        cors: tuple[bytes, ...],
        limit: Limit | None,
    ) -> HttpResponse:
        scope = _scope(path)
        if isinstance(scope, HttpResponse):
            return scope
        content_type = request.headers.get(b"content-type", b"")
        if content_type not in _JSON_TYPES:
            media_type = content_type.partition(b";")[0].strip().lower()
            if media_type not in _JSON_TYPES:
                return text_response(
                    415, "invalid content type, only application/json is supported", *cors
                )
        if posted := _telling(request):
            if len(self._accepted) >= MAX_ACCEPTED:
                self._accepted.clear()
            self._accepted[posted] = _Accepted(scope, trust, cors)
        answer = await self.dispatcher.handle(request.body, scope, limit=limit, trust=trust)
        return _answer(answer, cors)

    def overdue(self, request: HttpRequest) -> HttpResponse:
        """The response to a call that `limit` has ended."""
        return _answer(self.dispatcher.overdue(request.body), self._cors(request))

    async def _routed(
        self, route: Route, request: HttpRequest, cors: tuple[bytes, ...]
    ) -> HttpResponse | None:
        try:
            response = await route(request)
        except Exception:  # the boundary: a bug below must not end the connection
            log.exception("rpc.route_failed", path=_path(request.target).decode())
            return text_response(500, "internal error; the node's log has the reason", *cors)
        return response and replace(response, headers=response.headers + cors)

    def _trust(self, request: HttpRequest) -> Trust | HttpResponse:
        """The trust in the sender of a request, or the reason why it is refused."""
        host = request.headers.get(b"host")
        if host is None:
            if not request.http_1_0:
                return text_response(400, "the Host header is missing")
        elif not self._any_host and _host_name(host) not in self._hosts:
            return text_response(
                403,
                f"the name {_printable(host)!r} is not one of this endpoint's; "
                "add it to the allowed hosts if it should be",
            )
        origin = request.headers.get(b"origin")
        trust = self._origins.trust(origin, host if self._is_ours(host) else None)
        if trust is None:
            return text_response(
                403,
                f"pages from {_printable(origin or b'')!r} may not use this endpoint; name the origin if they "
                "should: `atoll up --cors-origin`, or rpc.cors_origins in node.toml",
            )
        return trust

    def _is_ours(self, host: bytes | None) -> bool:
        """True if no page of another machine can come from this host. If any name is allowed, it may be the
        name of such a page, which leads here by now. An address is no name.
        """
        if host is None:
            return False
        name = _host_name(host)
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name.decode())
        except ValueError:
            return False
        return True

    def _cors(self, request: HttpRequest) -> tuple[bytes, ...]:
        """The headers for a browser; an origin that reaches this point is an allowed one."""
        origin = request.headers.get(b"origin")
        if origin is None:
            return ()
        if self._origins.any:
            return (b"Access-Control-Allow-Origin: *",)
        return (b"Access-Control-Allow-Origin: " + origin, b"Vary: Origin")


def _answer(body: bytes | None, cors: tuple[bytes, ...]) -> HttpResponse:
    if body is None:  # notifications only
        return HttpResponse(204, headers=cors)
    return HttpResponse(200, body, headers=cors)


def _telling(request: HttpRequest) -> tuple[bytes | None, ...] | None:
    """All that decides how a POST is taken; None where it is longer than such things are."""
    if request.method != b"POST" or request.http_1_0:
        return None
    get = request.headers.get
    found = (request.target, get(b"host"), get(b"origin"), get(b"content-type"))
    return found if sum(len(each or b"") for each in found) <= MAX_TELLING else None


def _upgrade(request: HttpRequest, scope: int | None, trust: Trust) -> HttpResponse | Upgrade:
    """The server's side of the opening handshake, RFC 6455 section 4.2."""
    if request.headers.get(b"sec-websocket-version") != b"13":
        return text_response(426, "WebSocket version 13 is needed", b"Sec-WebSocket-Version: 13")
    key = request.headers.get(b"sec-websocket-key", b"")
    try:
        nonce = base64.b64decode(key, validate=True)
    except ValueError:
        nonce = b""
    if len(nonce) != 16 or request.http_1_0:
        return text_response(400, "invalid WebSocket handshake")
    accept = b"Sec-WebSocket-Accept: " + generate_accept_token(key)
    headers = (b"Upgrade: websocket", b"Connection: Upgrade", accept)
    return Upgrade(scope, trust, HttpResponse(101, headers=headers))


def _preflight(request: HttpRequest, trust: Trust, cors: tuple[bytes, ...]) -> HttpResponse:
    headers = cors + _PREFLIGHT if cors else (b"Allow: POST, OPTIONS",)
    # Chrome asks this before a public page may reach an address on the local network: none but a chosen one.
    if trust is Trust.NAMED and b"access-control-request-private-network" in request.headers:
        headers += (b"Access-Control-Allow-Private-Network: true",)
    return HttpResponse(204, headers=headers)


def _path(target: bytes) -> bytes:
    """The path of a request target, in origin form or (through a proxy) absolute form."""
    if target[:1] != b"/":
        try:
            target = httptools.parse_url(target).path or b"/"
        except httptools.HttpParserInvalidURLError:
            return b""
    return target.partition(b"?")[0]


def _scope(path: bytes) -> int | HttpResponse | None:
    """The chain a path names: None for the network view, a shard, or the answer that there is none."""
    if path == b"/":
        return None
    shard = _SHARD_PATH.fullmatch(path)
    if shard is not None:
        return int(shard[1])
    return text_response(404, "no such path: / is the network, /shard/<N> is shard N")


def _host_name(host: bytes) -> bytes:
    """The name in a Host header: without port, brackets, final dot and upper case."""
    if host[:1] == b"[":
        return host[1:].partition(b"]")[0].lower()
    return host.partition(b":")[0].rstrip(b".").lower()


def _printable(value: bytes) -> str:
    return value[:100].decode("ascii", "backslashreplace")
