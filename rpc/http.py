"""HTTP/1.1 without sockets: bytes in, requests out; responses in, bytes out.

`RequestParser` wraps httptools (llhttp in its strict mode) and adds the checks that httptools leaves to its
user: the limits on headers and bodies, and the first failure, after which nothing more is read. Requests that
came complete before a failure are still delivered, so pipelining stays in order.
"""

from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus

import httptools

from rpc.limits import Limits


@dataclass(slots=True)
class HttpRequest:
    """One request. Header names are lower-case; a repeated header is joined with commas. `upgrade` is set
    if the client asks to speak another protocol after this request."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    http_1_0: bool
    keep_alive: bool
    upgrade: bool
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response. `headers` are whole lines without CRLF, beyond those that `render_response` writes."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[bytes, ...] = field(default=())


class _Refused(Exception):
    """Stops the parser from within a callback."""


class RequestParser:
    """A sans-IO parser of one connection's requests.

    Feed it what arrives and take from `requests`. After `failure` is set, or after a request that ends
    the connection or upgrades it, further input is dropped; what followed an upgrade in the same input is
    in `trailing`.
    """

    def __init__(self, limits: Limits) -> None:
        self.requests: deque[HttpRequest] = deque()
        self.failure: HttpResponse | None = None
        self.trailing = b""
        self.wants_continue = False
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._finished = False
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0  # of the one that arrives
        self._header_size = 0
        self._fed_before_headers = 0
        self._in_headers = True
        self._request: HttpRequest | None = None

    @property
    def buffered(self) -> int:
        """Bytes of bodies: of the one that arrives, and of the requests that wait to be taken."""
        return self._body_size + sum(len(request.body) for request in self.requests)

    def feed(self, data: bytes) -> None:
        """Takes input from the peer. Never raises for what the peer sends."""
        if self._finished:
            return
        # The callbacks see a header only when it is whole: an endless one is measured here.
        if self._in_headers:
            self._fed_before_headers += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.trailing = data[upgrade.args[0] :]
            self._finished = True
            return
        except httptools.HttpParserError:
            # Also what a callback raised, after it said why.
            self._fail(400, _diagnose(data))
        if self._in_headers and self._fed_before_headers > self._limits.header_size:
            self._fail(431, "the request's headers are too large")

    # Callbacks of httptools, in their order.

    def on_message_begin(self) -> None:
        if self._finished:
            raise _Refused
        self._target = b""
        self._headers = {}
        self._body = []
        self._body_size = self._header_size = 0

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._header_size += len(url)
        if self._header_size > self._limits.header_size:
            self._refuse_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_size += len(name) + len(value) + 4
        if self._header_size > self._limits.header_size:
            self._refuse_headers()
        if not self._in_headers:
            return  # a trailer: counted, but of no use to anyone here
        name = name.lower()
        previous = self._headers.get(name)
        if previous is None:
            self._headers[name] = value
        elif name == b"host":
            self._refuse(400, "more than one Host header")
        else:
            self._headers[name] = previous + b", " + value

    def on_headers_complete(self) -> None:
        self._in_headers = False
        parser = self._parser
        http_1_0 = parser.get_http_version() == "1.0"
        self._request = HttpRequest(
            method=parser.get_method(),
            target=self._target,
            headers=self._headers,
            http_1_0=http_1_0,
            keep_alive=parser.should_keep_alive(),
            upgrade=parser.should_upgrade(),
        )
        length = self._headers.get(b"content-length")
        if length is not None and int(length) > self._limits.body_size:
            self._refuse_body()
        expect = self._headers.get(b"expect")
        if expect is not None and not http_1_0:
            if expect.lower() != b"100-continue":
                self._refuse(417, "the only expectation known here is 100-continue")
            self.wants_continue = True

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._limits.body_size:
            self._refuse_body()
        self._body.append(body)

    def on_message_complete(self) -> None:
        request = self._request
        assert request is not None  # llhttp completes no message without headers
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._body_size = [], 0
        self._request = None
        self._in_headers = True
        self._fed_before_headers = 0
        self.wants_continue = False
        self.requests.append(request)
        if not request.keep_alive:
            self._finished = True

    def _refuse_headers(self) -> None:
        self._refuse(431, "the request's headers are too large")

    def _refuse_body(self) -> None:
        self._refuse(413, f"the body is larger than {self._limits.body_size} bytes")

    def _refuse(self, status: int, why: str) -> None:
        self._fail(status, why)
        raise _Refused

    def _fail(self, status: int, why: str) -> None:
        if not self._finished:
            self._finished = True
            self.failure = text_response(status, why)


def text_response(status: int, text: str, *headers: bytes) -> HttpResponse:
    """A response for human eyes."""
    return HttpResponse(status, text.encode() + b"\n", b"text/plain; charset=utf-8", headers)


def render_response(
    response: HttpResponse, *, close: bool, http_1_0: bool = False, head: bool = False
) -> bytes:
    """The bytes of a response; with `head` as an answer to HEAD, without its body. `close` announces that
    the connection ends after it."""
    if response.status == 200 and not (response.headers or close or http_1_0 or head):
        return _PLAIN % (response.content_type, len(response.body), response.body)
    lines = [_STATUS_LINES[response.status]]
    if response.status not in (101, 204, 304):  # these have no content
        lines.append(b"Content-Type: " + response.content_type)
        lines.append(b"Content-Length: %d" % len(response.body))
    lines.extend(response.headers)
    if close:
        lines.append(b"Connection: close")
    elif http_1_0:
        lines.append(b"Connection: keep-alive")
    lines.append(b"\r\n" if head else b"\r\n" + response.body)
    return b"\r\n".join(lines)


_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus
}


def _diagnose(data: bytes) -> str:
    if data[:2] == b"\x16\x03":  # a TLS ClientHello
        return "this port speaks plain HTTP, not HTTPS"
    return "malformed HTTP request"
