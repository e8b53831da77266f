"""The dashboard: a page that every node serves at /dashboard, made of the files in `static`.

The files are listed when the node starts and served from memory, so a path names one of them exactly or nothing
at all. The page asks this node by JSON-RPC only; its policy (CSP) lets it reach no other host.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

from rpc.gateway import Route
from rpc.http import HttpRequest, HttpResponse

PATH = "/dashboard"
INDEX = "index.html"
TYPES = {
    "css": b"text/css; charset=utf-8",
    "html": b"text/html; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
).encode()
_HEADERS = (
    b"Cache-Control: no-cache",  # kept, and asked for again by its ETag
    b"Content-Security-Policy: " + _POLICY,
    b"X-Content-Type-Options: nosniff",
    b"Referrer-Policy: no-referrer",
    b"Cross-Origin-Opener-Policy: same-origin",
    b"Cross-Origin-Resource-Policy: same-origin",
)


def routes() -> Mapping[str, Route]:
    """The routes of GET below /dashboard; a browser that opens / is sent there."""
    found: dict[str, Route] = {"/": _front_door, PATH + "/": _redirect}
    for file in files(__name__).joinpath("static").iterdir():
        route = _file(file.read_bytes(), TYPES[file.name.rpartition(".")[2]])
        found[PATH if file.name == INDEX else f"{PATH}/{file.name}"] = route
    return found


def _file(content: bytes, content_type: bytes) -> Route:
    tag = b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
    headers = (b"ETag: " + tag, *_HEADERS)

    async def serve(request: HttpRequest) -> HttpResponse:
        known = request.headers.get(b"if-none-match", b"")
        if known == b"*" or tag in [name.strip().removeprefix(b"W/") for name in known.split(b",")]:
            return HttpResponse(304, b"", content_type, headers)
        return HttpResponse(200, content, content_type, headers)

    return serve


async def _redirect(_request: HttpRequest) -> HttpResponse:
    location = b"Location: " + PATH.encode()
    return HttpResponse(302, b"", b"text/plain; charset=utf-8", (location, *_HEADERS))


async def _front_door(request: HttpRequest) -> HttpResponse | None:
    """The answer at /: a browser is sent to the page, other clients get a description of this endpoint."""
    wanted = request.headers.get(b"accept", b"")
    return await _redirect(request) if b"text/html" in wanted else None
