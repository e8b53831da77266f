"""Requests survive their codec; whatever else decodes is its own encoding."""

from hypothesis import given
from hypothesis import strategies as st

from node.beacon.block import BeaconBlock, BeaconHeader
from node.primitives import rlp
from node.primitives.births import Birth
from node.primitives.crosslink import Crosslink
from node.primitives.errors import DecodeError
from node.primitives.requests import Counters, InboxMove, OutboxMove, ShardRequests

shards = st.integers(0, 2**16 - 1)
counts = st.integers(0, 2**64 - 1)
gases = st.integers(0, 2**128 - 1)
amounts = st.integers(0, 2**256 - 1)
hashes = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20)
kept = st.booleans()
births = st.builds(Birth, creator=addresses, nonce=counts, kept=kept) | st.builds(
    Birth, creator=addresses, salt=hashes, init_hash=hashes, kept=kept
)
requests = st.builds(
    ShardRequests,
    outbox=st.lists(
        st.builds(
            OutboxMove, dst=shards, count=counts, head=hashes, gas=gases, wei=amounts, asked=counts
        ),
        unique_by=lambda m: m.dst,
    ).map(tuple),
    inbox=st.lists(
        st.builds(InboxMove, src=shards, count=counts, gas=gases, wei=amounts, asked=counts),
        unique_by=lambda m: m.src,
    ).map(tuple),
    counters=st.none()
    | st.builds(Counters, issued=st.integers(-(2**255), 2**255 - 1), burned=amounts),
    births=st.lists(births).map(tuple),
)
headers = st.builds(
    BeaconHeader,
    height=counts,
    parent=hashes,
    timestamp=counts,
    proposer=addresses,
    randao=hashes,
    body_root=hashes,
    state_root=hashes,
)
items = st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=5))


@given(requests)
def test_requests_round_trip(value):
    assert ShardRequests.decode(value.encoded) == value


@given(requests, requests)
def test_different_requests_have_different_hashes(one, two):
    assert (one == two) == (one.hash == two.hash)


@given(headers)
def test_headers_round_trip(value):
    assert BeaconHeader.decode(value.encoded) == value


@given(st.lists(st.sampled_from([b"\xa0", b"\xa1"]), max_size=3), st.lists(items, max_size=3))
def test_what_decodes_as_requests_is_their_encoding(types, contents):
    raw = tuple(t + rlp.encode(c) for t, c in zip(types, contents, strict=False))
    try:
        assert ShardRequests.decode(raw).encoded == raw
    except DecodeError:
        pass


@given(st.binary(max_size=600) | items.map(rlp.encode))
def test_arbitrary_bytes_raise_nothing_but_decode_errors(data):
    for decode in (BeaconBlock.decode, BeaconHeader.decode, Crosslink.decode):
        try:
            decode(data)
        except DecodeError:
            pass
