"""A head that was parsed on a connection before is not parsed again: nothing else may change by that."""

import pytest

from rpc.http import KNOWN_HEADS, HttpRequest, RequestParser
from rpc.limits import Limits

HEAD = (
    b"POST /%b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d"
)


def request(body: bytes, path: bytes = b"", extra: bytes = b"") -> bytes:
    return HEAD % (path, len(body)) + extra + b"\r\n\r\n" + body


def taken(parser: RequestParser) -> list[HttpRequest]:
    out = list(parser.requests)
    parser.requests.clear()
    return out


def test_a_repeated_head_gives_the_same_request_with_its_own_body() -> None:
    parser = RequestParser(Limits())
    parser.feed(request(b'{"a":1}'))
    (first,) = taken(parser)
    parser.feed(request(b'{"b":2}'))
    (second,) = taken(parser)
    assert second.body == b'{"b":2}'
    assert second.memo is first.memo  # it was recognised
    for name in ("method", "target", "headers", "http_1_0", "keep_alive", "upgrade"):
        assert getattr(first, name) == getattr(second, name)


def test_another_length_is_another_head() -> None:
    parser = RequestParser(Limits())
    for body in (b"{}", b"[1]", b"{}", b"[1]"):
        parser.feed(request(body))
        (got,) = taken(parser)
        assert got.body == body


@pytest.mark.parametrize("cut", [1, 10, 60, -8, -1])
def test_a_known_head_may_come_in_pieces(cut: int) -> None:
    parser = RequestParser(Limits())
    whole = request(b'{"a":1}')
    parser.feed(whole)
    taken(parser)
    for _ in range(2):
        parser.feed(whole[:cut])
        assert not parser.requests
        parser.feed(whole[cut:])
        (got,) = taken(parser)
        assert got.body == b'{"a":1}'


def test_known_heads_in_one_piece_are_told_apart() -> None:
    parser = RequestParser(Limits())
    one = request(b'{"a":1}')
    parser.feed(one)
    taken(parser)
    parser.feed(one + one + one[:30])
    assert [r.body for r in taken(parser)] == [b'{"a":1}'] * 2
    parser.feed(one[30:])
    assert [r.body for r in taken(parser)] == [b'{"a":1}']


def test_a_body_that_looks_like_a_head_is_a_body() -> None:
    parser = RequestParser(Limits())
    inner = request(b"{}")
    parser.feed(inner)
    taken(parser)
    outer = request(inner)
    parser.feed(outer[: -len(inner)])  # the head of the outer one
    parser.feed(inner)  # is its body, though it is a known request to the byte
    (got,) = taken(parser)
    assert got.body == inner


@pytest.mark.parametrize(
    "extra",
    [
        b"\r\nConnection: close",
        b"\r\nExpect: 100-continue",
        b"\r\nConnection: upgrade\r\nUpgrade: h2c",
    ],
)
def test_what_is_out_of_the_ordinary_is_parsed_each_time(extra: bytes) -> None:
    parser = RequestParser(Limits())
    parser.feed(request(b"{}", extra=extra))
    assert not parser._heads


def test_few_heads_are_kept() -> None:
    parser = RequestParser(Limits())
    for number in range(5 * KNOWN_HEADS):
        parser.feed(request(b"{}", path=b"shard/%d" % number))
        taken(parser)
    assert len(parser._heads) <= KNOWN_HEADS
