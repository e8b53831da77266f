"""The codec of beacon blocks: round trips, limits, and what it refuses."""

import pytest

from consensus.codec import MAX_CERTIFICATE_SIZE
from node.beacon.block import (
    BODY_OVERHEAD_BYTES,
    MAX_BEACON_BLOCK_BYTES,
    MAX_BEACON_HEADER_BYTES,
    BeaconBlock,
    BeaconBody,
    BeaconHeader,
)
from node.beacon.rewind import MAX_REWIND_BYTES, Rewind
from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.crosslink import MAX_CROSSLINK_BYTES, Crosslink
from node.primitives.errors import DecodeError
from node.primitives.requests import MAX_REQUESTS_BYTES


def test_a_block_survives_the_codec(driver):
    block = driver.build(driver.next(0), driver.next(1)).block
    again = BeaconBlock.decode(block.encoded)
    assert again == block
    assert again.encoded == block.encoded
    assert again.hash == block.hash == keccak256(block.header.encoded)
    assert again.body.root == block.header.body_root == keccak256(block.body.encoded)


def test_a_header_survives_the_codec(driver):
    header = driver.build().block.header
    assert BeaconHeader.decode(header.encoded) == header


def test_the_size_limits_hold_what_they_promise(driver):
    block = driver.build(driver.next(0)).block
    largest = BeaconHeader(
        height=2**64 - 1,
        parent=b"\xff" * 32,
        timestamp=2**64 - 1,
        proposer=b"\xff" * 20,
        randao=b"\xff" * 32,
        body_root=b"\xff" * 32,
        state_root=b"\xff" * 32,
    )
    assert len(largest.encoded) <= MAX_BEACON_HEADER_BYTES
    header = driver.next(0).header
    assert (
        len(header.encoded) + MAX_REQUESTS_BYTES + MAX_CERTIFICATE_SIZE + 1024 < MAX_CROSSLINK_BYTES
    )
    assert MAX_CROSSLINK_BYTES < MAX_BEACON_BLOCK_BYTES - MAX_BEACON_HEADER_BYTES
    crosslinks = sum(len(c.encoded) for c in block.body.crosslinks)
    overhead = len(block.encoded) - len(block.header.encoded) - crosslinks
    assert overhead <= BODY_OVERHEAD_BYTES


REWIND = Rewind(
    era=1, height=7, block_hash=keccak256(b"block"), taken=1 << 50, salt=bytes(16), tips=(3, 300)
)


def test_the_third_list_holds_one_rewind_at_most(driver):
    block = driver.build(driver.next(0)).block
    header, body = rlp.decode_list(block.encoded)
    for rest in ([b"\x01"], [[]], [REWIND.row(), REWIND.row()], [[*REWIND.row(), b""]]):
        body[2] = rest
        with pytest.raises(DecodeError):
            BeaconBlock.decode(rlp.encode([header, body]))
    body[2] = [REWIND.row()]
    assert BeaconBlock.decode(rlp.encode([header, body])).body.rewind == REWIND
    assert Rewind.decode(REWIND.encoded) == REWIND
    with pytest.raises(DecodeError, match="at most"):
        Rewind.decode(bytes(MAX_REWIND_BYTES + 1))


def test_oversized_input_is_refused_before_it_is_parsed():
    with pytest.raises(DecodeError, match="at most"):
        BeaconBlock.decode(b"\xff" * (MAX_BEACON_BLOCK_BYTES + 1))
    with pytest.raises(DecodeError, match="at most"):
        BeaconHeader.decode(b"\xff" * (MAX_BEACON_HEADER_BYTES + 1))
    with pytest.raises(DecodeError, match="at most"):
        Crosslink.decode(b"\xff" * (MAX_CROSSLINK_BYTES + 1))


def test_only_the_one_encoding_is_accepted(driver):
    """Every truncation, and every flipped bit that still decodes, is seen in the bytes."""
    raw = driver.build(driver.next(0)).block.encoded
    for cut in range(0, len(raw), 7):
        with pytest.raises(DecodeError):
            BeaconBlock.decode(raw[:cut])
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1 << (at % 8)
        try:
            block = BeaconBlock.decode(bytes(changed))
        except DecodeError:
            continue
        assert block.encoded == bytes(changed)


def test_a_body_without_anything_has_a_root():
    assert BeaconBody().encoded == rlp.encode([[], [], []])


def test_a_damaged_certificate_is_a_decode_error(driver):
    shard, header, requests, certificate = rlp.decode_list(driver.next(0).encoded)
    with pytest.raises(DecodeError, match="certificate"):
        Crosslink.decode(rlp.encode([shard, header, requests, certificate[:-1]]))
