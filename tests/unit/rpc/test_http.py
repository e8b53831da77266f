"""The HTTP parser and the gateway, without sockets."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rpc.dispatch import Dispatcher
from rpc.gateway import Gateway, Upgrade
from rpc.http import HttpRequest, HttpResponse, RequestParser, render_response
from rpc.limits import Limits
from rpc.methods import METHODS
from rpc.origins import Trust
from tests.support.scoped import WithChains

LIMITS = Limits(body_size=1000, header_size=500)
CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"


def parse(*pieces, limits=LIMITS):
    parser = RequestParser(limits)
    for piece in pieces:
        parser.feed(piece)
    return parser


def test_a_request_in_one_piece_or_byte_by_byte_is_the_same():
    whole = parse(POST)
    split = parse(*(POST[i : i + 1] for i in range(len(POST))))
    assert list(whole.requests) == list(split.requests)
    (request,) = whole.requests
    assert (request.method, request.target, request.body) == (b"POST", b"/", b"body")
    assert request.headers == {b"host": b"localhost", b"content-length": b"4"}
    assert request.keep_alive


@given(st.lists(st.integers(1, 40), max_size=20))
def test_pipelined_requests_keep_their_order(sizes):
    data = b"".join(POST.replace(b"body", b"%04d" % i) for i in range(5))
    parser = RequestParser(LIMITS)
    for size in sizes:
        parser.feed(data[:size])
        data = data[size:]
    parser.feed(data)
    assert [request.body for request in parser.requests] == [b"%04d" % i for i in range(5)]


def test_a_chunked_body_is_joined_and_its_trailers_are_dropped():
    parser = parse(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nHost: evil\r\n\r\n",
    )
    (request,) = parser.requests
    assert request.body == b"abcde"
    assert request.headers[b"host"] == b"a"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"\x16\x03\x01\x02\x00\x01\x00"], 400),
        ([b"hello\r\n\r\n"], 400),
        ([b"GET / HTTP/9.9\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n"], 413),
        ([b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n"], 413),
        (
            [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"]
            + [b"64\r\n" + b"x" * 100 + b"\r\n"] * 11,
            413,
        ),
        ([b"GET /" + b"x" * 600 + b" HTTP/1.1\r\n\r\n"], 431),
        ([b"GET /"] + [b"x" * 100] * 6, 431),
        ([b"GET / HTTP/1.1\r\nA: "] + [b"x" * 100] * 6, 431),
        ([b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100 + b"\r\n"], 431),
        ([b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\n"], 417),
    ],
)
def test_what_breaks_a_rule_is_refused(pieces, status):
    parser = parse(*pieces)
    assert not parser.requests
    assert parser.failure.status == status
    parser.feed(POST)  # nothing after it is read
    assert not parser.requests


def test_tls_is_recognised():
    assert b"not HTTPS" in parse(b"\x16\x03\x01\x02\x00").failure.body


def test_requests_before_a_failure_are_delivered():
    parser = parse(POST + POST + b"garbage\r\n\r\n")
    assert len(parser.requests) == 2
    assert parser.failure.status == 400


def test_nothing_is_read_after_a_request_that_closes():
    parser = parse(POST.replace(b"Host", b"Connection: close\r\nHost") + POST)
    (request,) = parser.requests
    assert not request.keep_alive
    assert parser.failure is None


def test_a_client_that_waits_for_100_continue_is_noticed():
    parser = parse(b"POST / HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert parser.wants_continue
    parser.feed(b"body")
    assert not parser.wants_continue
    assert parser.requests[0].body == b"body"


def test_what_follows_an_upgrade_is_kept_apart():
    parser = parse(
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x80abc"
    )
    assert parser.requests[0].upgrade
    assert parser.trailing == b"\x81\x80abc"
    assert parser.failure is None


@given(st.lists(st.binary(max_size=50) | st.sampled_from([POST, POST[:30], b"\r\n", b"0\r\n\r\n"])))
def test_the_parser_never_raises(pieces):
    parse(*pieces)


def test_responses():
    response = HttpResponse(200, b"{}", headers=(b"Vary: Origin",))
    assert render_response(response, close=False) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        b"Vary: Origin\r\n\r\n{}"
    )
    assert render_response(response, close=True, head=True).endswith(
        b"Content-Length: 2\r\nVary: Origin\r\nConnection: close\r\n\r\n"
    )
    assert render_response(HttpResponse(204), close=False) == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert b"Connection: keep-alive" in render_response(response, close=False, http_1_0=True)


class Backend(WithChains):
    async def chain_id(self):
        return 1337

    async def block_number(self, scope):
        return 1000 if scope is None else scope

    def health(self):
        return False, {"why": "syncing"}


def gateway(**changes):
    async def metrics(_request):
        return HttpResponse(200, b"metric 1\n", b"text/plain")

    options = {"cors_origins": ("*",), "allowed_hosts": (), "routes": {"/metrics": metrics}}
    return Gateway(Dispatcher(Backend(), LIMITS), **(options | changes))


def request(method=b"POST", target=b"/", body=CALL, http_1_0=False, upgrading=False, **headers):
    named = {b"host": b"localhost", b"content-type": b"application/json"}
    named |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return HttpRequest(
        method=method,
        target=target,
        headers={name: value for name, value in named.items() if value is not None},
        http_1_0=http_1_0,
        keep_alive=True,
        upgrade=upgrading,
        body=body,
    )


@pytest.mark.parametrize(
    ("target", "result"),
    [
        (b"/", b'"0x3e8"'),
        (b"/?key=1", b'"0x3e8"'),
        (b"http://localhost:8545/", b'"0x3e8"'),
        (b"http://localhost:8545", b'"0x3e8"'),
        (b"/shard/0", b'"0x0"'),
        (b"/shard/3", b'"0x3"'),
        (b"/shard/3/", b'"0x3"'),
    ],
)
async def test_the_path_names_the_chain(target, result):
    response = await gateway().respond(
        request(target=target, body=CALL.replace(b"chainId", b"blockNumber"))
    )
    assert response.status == 200
    assert result in response.body


@pytest.mark.parametrize(
    "target", [b"/x", b"/shard/", b"/shard/-1", b"/shard/1/2", b"*", b"//", b""]
)
async def test_other_paths_do_not_exist(target):
    assert (await gateway().respond(request(target=target))).status == 404


async def test_a_notification_gets_no_content():
    body = b'{"jsonrpc":"2.0","method":"eth_chainId"}'
    assert (await gateway().respond(request(body=body))).status == 204


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"application/json", 200),
        (b"Application/JSON; charset=utf-8", 200),
        (b"application/json-rpc", 200),
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
        (None, 415),
    ],
)
async def test_only_json_may_be_posted(content_type, status):
    response = await gateway().respond(request(content_type=content_type))
    assert response.status == status


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"PATCH", b"CONNECT"])
async def test_other_methods_are_not_allowed(method):
    response = await gateway().respond(request(method))
    assert response.status == 405
    assert b"Allow: POST, OPTIONS" in response.headers


async def test_health_and_further_routes():
    response = await gateway().respond(request(b"GET", b"/health"))
    assert (response.status, response.body) == (503, b'{"why":"syncing"}')
    assert (await gateway().respond(request(b"GET", b"/metrics"))).body == b"metric 1\n"
    alive = await gateway().respond(request(b"GET", b"/healthz"))
    assert (alive.status, alive.body) == (200, b"alive\n")


async def test_a_route_that_fails_is_an_error_of_this_request_alone():
    async def broken(_request):
        raise RuntimeError("a secret")

    with capture_logs() as logs:
        response = await gateway(routes={"/metrics": broken}).respond(request(b"GET", b"/metrics"))
    assert response.status == 500
    assert b"secret" not in response.body
    assert [line["event"] for line in logs] == ["rpc.route_failed"]


async def test_pages_of_other_origins_are_told_that_they_may_read_a_route():
    asked = request(b"GET", b"/metrics", origin=b"https://app.example")
    assert b"Access-Control-Allow-Origin: *" in (await gateway().respond(asked)).headers


async def test_a_route_may_leave_a_request_to_the_endpoint():
    async def page(request):
        return HttpResponse(200) if request.headers.get(b"accept") == b"text/html" else None

    face = gateway(routes={"/": page})
    assert (await face.respond(request(b"GET", accept=b"text/html"))).status == 200
    assert (await face.respond(request(b"GET"))).status == 405
    assert (await face.respond(request(b"POST", accept=b"text/html"))).status == 200
    handshake = {"upgrade": b"websocket", "sec_websocket_version": b"13"}
    key = base64.b64encode(bytes(16))
    asked = request(b"GET", upgrading=True, accept=b"text/html", sec_websocket_key=key, **handshake)
    assert isinstance(await face.respond(asked), Upgrade)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        (b"localhost:8545", b"http://localhost:8545", 200),
        (b"LOCALHOST:8545", b"http://localhost:8545", 200),
        (b"localhost:8545", b"https://localhost:8545", 200),
        (b"node.example:80", b"http://node.example:80", 200),
        (b"node.example:80", b"http://node.example:81", 403),
        (b"localhost:8545", b"http://localhost:9999", 200),
        (b"localhost:8545", b"https://127.0.0.1", 200),
        (b"127.0.0.1:8545", b"http://[::1]:3000", 200),
        (b"localhost:8545", b"http://127.0.0.1.evil.example", 403),
        (b"localhost:8545", b"http://localhost@evil.example", 403),
        (b"localhost:8545", b"http://localhost:80:80", 403),
        (b"localhost:8545", b"http://192.168.0.2:3000", 403),
        (b"localhost:8545", b"http://evil.example", 403),
        (b"localhost:8545", b"null", 403),
        (b"evil.example", b"http://evil.example", 403),
    ],
)
async def test_pages_of_this_machine_may_use_it_whatever_the_origins_are(host, origin, status):
    face = gateway(cors_origins=(), allowed_hosts=("node.example",))
    response = await face.respond(request(host=host, origin=origin))
    assert response.status == status
    opened = await face.respond(upgrade_request(host=host, origin=origin))
    assert isinstance(opened, Upgrade) == (status == 200)
    if status == 403:
        assert not any(b"Access-Control" in header for header in response.headers)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost", 200),
        (b"LocalHost:8545", 200),
        (b"localhost.:1", 200),
        (b"127.0.0.1:8545", 200),
        (b"[::1]:8545", 200),
        (b"node.example:80", 200),
        (b"evil.example", 403),
        (b"localhost.evil.example", 403),
        (b"127.0.0.1.evil.example", 403),
        (b"[::2]", 403),
        (b"", 403),
        (b"\xff\r", 403),
        (None, 400),
    ],
)
async def test_the_host_must_be_one_of_ours(host, status):
    guarded = gateway(allowed_hosts=("Node.Example",))
    for method, answer in ((b"POST", 200), (b"OPTIONS", 204), (b"GET", 405)):
        response = await guarded.respond(request(method, b"/", host=host))
        assert response.status == (answer if status == 200 else status)


async def test_any_host_can_be_allowed_and_http_1_0_may_have_none():
    assert (await gateway(allowed_hosts=("*",)).respond(request(host=b"evil"))).status == 200
    assert (await gateway().respond(request(host=None, http_1_0=True))).status == 200


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        (b"evil.example:8545", False),  # a name that leads here by now
        (b"10.0.0.evil.example:8545", False),
        (b"node.example:8545", True),
        (b"10.0.0.7:8545", True),
        (b"[fd00::7]:8545", True),
    ],
)
async def test_where_any_host_is_allowed_a_page_is_not_ours_by_its_name(host, trusted):
    face = gateway(cors_origins=(), allowed_hosts=("*", "node.example"))
    response = await face.respond(request(host=host, origin=b"http://" + host))
    assert response.status == (200 if trusted else 403)
    assert (await face.respond(request(host=host))).status == 200


async def test_cors_for_any_origin():
    response = await gateway().respond(request(origin=b"https://app.example"))
    assert response.headers == (b"Access-Control-Allow-Origin: *",)
    preflight = await gateway().respond(
        request(
            b"OPTIONS",
            origin=b"https://app.example",
            access_control_request_method=b"POST",
            access_control_request_private_network=b"true",
        )
    )
    assert preflight.status == 204
    assert b"Access-Control-Allow-Headers: Content-Type" in preflight.headers
    assert not any(b"Private-Network" in header for header in preflight.headers)


async def test_cors_for_listed_origins():
    listed = gateway(cors_origins=("https://app.example/",))
    response = await listed.respond(request(origin=b"https://app.example"))
    assert b"Access-Control-Allow-Origin: https://app.example" in response.headers
    assert b"Vary: Origin" in response.headers
    asked = request(
        b"OPTIONS", origin=b"https://app.example", access_control_request_private_network=b"true"
    )
    assert b"Access-Control-Allow-Private-Network: true" in (await listed.respond(asked)).headers
    for method in (b"POST", b"OPTIONS", b"GET"):
        refused = await listed.respond(request(method, origin=b"https://evil.example"))
        assert refused.status == 403
        assert not any(b"Access-Control" in header for header in refused.headers)
    assert (await listed.respond(request())).status == 200  # not a browser


NEEDS = {  # who may call it at least
    "eth_chainId": Trust.ANYBODY,
    "eth_accounts": Trust.ANYBODY,
    "eth_sendRawTransaction": Trust.ANYBODY,
    "eth_sign": Trust.NAMED,
    "personal_sign": Trust.NAMED,
    "eth_signTypedData_v4": Trust.NAMED,
    "eth_signTransaction": Trust.NAMED,
    "eth_sendTransaction": Trust.NAMED,
    "eth_sendUnsignedTransaction": Trust.NAMED,
    "anvil_setBalance": Trust.NAMED,
    "evm_revert": Trust.NAMED,
    "atoll_setLogLevel": Trust.NAMED,
    "atoll_setFaults": Trust.LOCAL,
    "atoll_faults": Trust.LOCAL,
    "atoll_submitEvidence": Trust.LOCAL,
}


@pytest.mark.parametrize(
    ("origin", "trust"),
    [
        (None, Trust.LOCAL),
        (b"Titanoboa", Trust.LOCAL),  # no page can send a name
        (b"http://localhost:3000", Trust.LOCAL),
        (b"NULL", Trust.ANYBODY),
        (b"evil.example", Trust.ANYBODY),
        (b"https://app.example", Trust.NAMED),
        (b"https://evil.example", Trust.ANYBODY),
        (b"null", Trust.ANYBODY),
    ],
)
@pytest.mark.parametrize("method", NEEDS)
async def test_a_page_may_do_what_its_origin_is_trusted_with(origin, trust, method):
    face = gateway(cors_origins=("https://app.example", "*"))
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    for asked in (body, b"[" + body + b"]"):  # again from the same connection: the head is known
        response = await face.respond(request(body=asked, origin=origin))
        assert (b"web page" in response.body) == (trust < NEEDS[method])


def test_no_method_that_signs_or_changes_the_chain_is_for_everybody():
    changing = ("anvil_", "hardhat_", "evm_")
    for name, method in METHODS.items():
        signs = "sign" in name.lower() or (name.startswith("eth_send") and "Raw" not in name)
        if name.startswith(changing) or signs:
            assert method.trust >= Trust.NAMED, name


def upgrade_request(**changes):
    headers = {
        "upgrade": b"WebSocket",
        "sec_websocket_version": b"13",
        "sec_websocket_key": b"dGhlIHNhbXBsZSBub25jZQ==",
    }
    return request(b"GET", b"/shard/2", upgrading=True, **(headers | changes))


async def test_the_websocket_handshake_of_rfc_6455():
    upgrade = await gateway().respond(upgrade_request())
    assert isinstance(upgrade, Upgrade)
    assert upgrade.scope == 2
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in upgrade.response.headers
    assert render_response(upgrade.response, close=False).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sec_websocket_version": b"8"}, 426),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": b"c2hvcnQ="}, 400),
        ({"sec_websocket_key": b"\xff"}, 400),
        ({"upgrade": b"h2c"}, 405),
        ({"host": b"evil.example"}, 403),
    ],
)
async def test_a_wrong_handshake_is_refused(changes, status):
    assert (await gateway().respond(upgrade_request(**changes))).status == status


async def test_a_websocket_from_a_foreign_page_is_refused():
    listed = gateway(cors_origins=("https://app.example",))
    assert (await listed.respond(upgrade_request(origin=b"https://evil.example"))).status == 403
    assert isinstance(await listed.respond(upgrade_request(origin=b"https://app.example")), Upgrade)
