"""What travels between nodes: every encoding comes back, and nothing hostile gets past DecodeError."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consensus.codec import MAX_CERTIFICATE_SIZE
from consensus.types import (
    Address,
    BlockId,
    Certificate,
    Height,
    Proposal,
    Round,
    Vote,
    VoteType,
)
from node import wire
from node.primitives.crosslink import MAX_CROSSLINK_BYTES
from node.primitives.errors import DecodeError
from node.primitives.transaction import MAX_TRANSACTION_BYTES

HEIGHTS = st.integers(0, 2**64 - 1).map(Height)
ROUNDS = st.integers(0, 2**31 - 1).map(Round)
IDS = st.binary(min_size=32, max_size=32).map(BlockId)
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
SIGNATURES = st.binary(min_size=65, max_size=65)
VALUES = st.binary(max_size=300)

votes = st.builds(
    Vote,
    type=st.sampled_from(VoteType),
    height=HEIGHTS,
    round=ROUNDS,
    block_id=st.none() | IDS,
    validator=ADDRESSES,
    signature=SIGNATURES,
)
proposals = st.builds(
    Proposal,
    height=HEIGHTS,
    round=ROUNDS,
    block_id=IDS,
    pol_round=st.just(-1),
    proposer=ADDRESSES,
    signature=SIGNATURES,
)
certificates = st.builds(
    lambda signatures, height, round_, block_id: Certificate(
        height=height,
        round=round_,
        block_id=block_id,
        signers=(1 << len(signatures)) - 1,
        signatures=tuple(signatures),
    ),
    st.lists(SIGNATURES, min_size=1, max_size=5),
    HEIGHTS,
    ROUNDS,
    IDS,
)
messages = (
    votes
    | st.builds(wire.ProposalMessage, proposal=proposals, value=VALUES)
    | st.builds(wire.DecidedMessage, certificate=certificates, value=VALUES)
    | st.builds(wire.StatusMessage, height=st.integers(0, 2**64 - 1))
)


@given(st.integers(0, 2**32 - 1), messages)
def test_a_frame_comes_back(chain: int, message: wire.ConsensusMessage) -> None:
    decoded_chain, body = wire.decode_frame(wire.encode_frame(chain, message))
    assert decoded_chain == chain
    assert wire.decode_body(body) == message


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x01")
@example(b"\x01\xff\xff\xff\xff")
@example(b"\x03\x00\x00\x00\x00")
def test_garbage_is_a_decode_error(raw: bytes) -> None:
    for decode in (wire.decode_frame, wire.decode_body, wire.decode_transactions):
        try:
            decode(raw)
        except DecodeError:
            pass


def test_a_damaged_frame_is_a_decode_error_or_another_message() -> None:
    others = 0

    @given(messages, st.data())
    def check(message: wire.ConsensusMessage, data: st.DataObject) -> None:
        nonlocal others
        raw = bytearray(wire.encode_body(message))
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
        for hostile in (bytes(raw), cut):
            try:
                found = wire.decode_body(hostile)
            except DecodeError:
                continue
            assert found != message
            assert wire.encode_body(found) == hostile
            others += 1

    check()
    assert others, "all that was damaged was refused"


@given(st.binary(max_size=200))
def test_answers_of_peers_are_decoded_or_refused(raw: bytes) -> None:
    for type_ in (wire.BlocksPage, wire.BlocksRequest, wire.LanePage, wire.LaneRequest):
        try:
            wire.decode_struct(raw, type_)
        except DecodeError:
            pass


@pytest.mark.parametrize("nesting", [b"\x91", b"\x81\xa1a", b"\x92\x01"])
def test_deep_nesting_is_refused(nesting: bytes) -> None:
    for type_ in (wire.BlocksPage, wire.LanePage, wire.BlocksRequest):
        for prefix in (b"", b"\x93\x01\x90", b"\x92\x90"):
            with pytest.raises(DecodeError):
                wire.decode_struct(prefix + nesting * 100_000 + b"\xc0", type_)


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_transactions_come_back(raws: list[bytes]) -> None:
    assert wire.decode_transactions(wire.encode_transactions(9, raws)) == (9, raws)


def test_whatever_a_node_may_have_to_send_fits_a_frame() -> None:
    assert wire.CROSSLINKS.max_frame >= MAX_CROSSLINK_BYTES
    assert wire.CONSENSUS.max_frame >= wire.MAX_VALUE_BYTES + MAX_CERTIFICATE_SIZE + 9
    batch = [b"x" * (wire.MAX_BATCH_BYTES - 1), b"y" * MAX_TRANSACTION_BYTES]
    assert len(wire.encode_transactions((1 << 64) - 1, batch)) <= wire.TRANSACTIONS.max_frame
    page = wire.BlocksPage(
        head=1 << 63,
        blocks=[
            wire.DecidedBlock(
                value=b"x" * (wire.MAX_PAGE_BYTES - 1 if last else wire.MAX_VALUE_BYTES),
                certificate=b"c" * MAX_CERTIFICATE_SIZE,
            )
            for last in (True, False)
        ],
    )
    assert len(msgspec.msgpack.encode(page)) <= wire.BLOCKS.max_response
