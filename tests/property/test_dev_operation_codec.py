"""Development operations and impersonated transactions as bytes: one encoding each, and no surprises."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.primitives import rlp
from node.primitives.basics import ZERO_ADDRESS, Address
from node.primitives.dev_operation import (
    MAX_CODE_BYTES,
    MAX_DEV_OPERATION_BYTES,
    MAX_NEW_NONCE,
    MAX_TIME,
    MAX_WEI,
    DevKind,
    DevOperation,
)
from node.primitives.errors import AtollError, DecodeError
from node.primitives.mining import MAX_BLOCKS, MAX_INTERVAL, MAX_MODE, MAX_SHARDS, MiningOrder
from node.primitives.transaction import (
    ImpersonatedTransaction,
    decode_transaction,
    encode_impersonated,
)
from node.shard.block import decode_item

addresses = st.binary(min_size=20, max_size=20).map(Address)
salts = st.binary(min_size=16, max_size=16)
words = st.integers(0, 2**256 - 1)
times = st.integers(1, MAX_TIME)
soon = st.integers(1, MAX_TIME // 2)


def orders(intervals: st.SearchStrategy[int], most: int = MAX_BLOCKS) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda name, shards, left, interval: (
            MiningOrder(name=name, shards=shards, left=left, interval=interval).encoded
        ),
        st.binary(min_size=8, max_size=8),
        st.integers(1, MAX_SHARDS),
        st.integers(1, most),
        intervals,
    )


ORDER = MiningOrder(name=bytes(8), shards=1, left=1).encoded
LONG = MiningOrder(name=bytes(8), shards=1, left=2, interval=1).encoded


def operation(kind: DevKind, **fields: st.SearchStrategy) -> st.SearchStrategy[DevOperation]:
    return st.builds(DevOperation, kind=st.just(kind), salt=salts, **fields)


operations = st.one_of(
    operation(DevKind.MINE, data=orders(st.just(0))),
    operation(
        DevKind.MINE, data=orders(st.integers(0, MAX_INTERVAL), most=100), number=soon, slot=times
    ),
    operation(DevKind.SET_BALANCE, to=addresses, number=st.integers(0, MAX_WEI)),
    operation(DevKind.ADD_BALANCE, to=addresses, number=st.integers(0, MAX_WEI)),
    operation(DevKind.SET_NONCE, to=addresses, number=st.integers(0, MAX_NEW_NONCE)),
    operation(DevKind.SET_CODE, to=addresses, data=st.binary(max_size=300)),
    operation(DevKind.SET_STORAGE, to=addresses, slot=words, number=words),
    operation(DevKind.SET_CLOCK, number=times, slot=times),
    operation(DevKind.SET_NEXT_TIME, number=times, slot=times),
    operation(DevKind.SET_MINING, number=st.integers(0, MAX_MODE)),
    operation(DevKind.DROP, number=words),
)


def unsigned(kind: int, *, signed: bool = False) -> bytes:
    numbers = [rlp.int_to_bytes(n) for n in (7, 3, 21_000)]
    to, value, data = b"\2" * 20, rlp.int_to_bytes(5), b"\xab"
    if kind == 0:
        end = [rlp.int_to_bytes(1337), b"\1" if signed else b"", b""]
        return rlp.encode([*numbers, to, value, data, *end])
    fees = [rlp.int_to_bytes(3)] * (kind - 1)
    fields = [rlp.int_to_bytes(1337), numbers[0], *fees, *numbers[1:], to, value, data, []]
    return bytes([kind]) + rlp.encode([*fields, *([b"", b"\1", b"\1"] if signed else [])])


impersonated = st.builds(
    lambda sender, kind: encode_impersonated(sender, unsigned(kind)), addresses, st.integers(0, 2)
)
noises = st.binary(max_size=20)


@given(operations)
def test_what_is_encoded_is_decoded(op: DevOperation) -> None:
    assert DevOperation.decode(op.encoded) == op
    assert decode_item(op.encoded) == op
    assert len(op.encoded) <= MAX_DEV_OPERATION_BYTES


@given(operations, st.data())
def test_changed_bytes_are_another_operation_or_none(op: DevOperation, data: st.DataObject) -> None:
    raw = bytearray(op.encoded)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        found = DevOperation.decode(bytes(raw))
    except DecodeError:
        return
    assert found != op
    assert found.encoded == bytes(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw: bytes) -> None:
    for item in (b"\x7c" + raw, b"\x7b" + raw):
        with pytest.raises(AtollError):
            decode_item(item)


def test_noise_inside_is_decoded_or_refused() -> None:
    read: Counter[type] = Counter()

    anywhere = st.tuples(
        st.one_of(operations.map(lambda op: op.encoded), impersonated), st.integers(0), noises
    )
    # the first bytes are a type, the heads of a list and of a string: another sender is a transaction, too
    in_a_sender = st.tuples(impersonated, st.integers(3, 9), st.binary(min_size=8, max_size=12))

    @settings(max_examples=100)  # whatever the share of others: both kinds must be among them
    @given(anywhere | in_a_sender)
    def check(case: tuple[bytes, int, bytes]) -> None:
        raw, place, noise = case
        at = 1 + place % len(raw)
        spoilt = raw[:at] + noise + raw[at + len(noise) :]
        try:
            found = decode_item(spoilt)
        except AtollError:
            return
        assert (found.encoded if isinstance(found, DevOperation) else found.raw) == spoilt
        read[type(found)] += spoilt != raw

    check()
    assert all(read[kind] for kind in (DevOperation, ImpersonatedTransaction)), read


def test_the_largest_code_fits_and_nothing_above() -> None:
    largest = DevOperation(kind=DevKind.SET_CODE, salt=bytes(16), data=b"\xff" * MAX_CODE_BYTES)
    assert DevOperation.decode(largest.encoded) == largest
    with pytest.raises(ValueError, match="at most 24576"):
        DevOperation(kind=DevKind.SET_CODE, salt=bytes(16), data=b"\0" * (MAX_CODE_BYTES + 1))
    with pytest.raises(DecodeError, match="at most"):
        DevOperation.decode(b"\x7c" + bytes(MAX_DEV_OPERATION_BYTES))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": DevKind.MINE},
        {"kind": DevKind.MINE, "data": ORDER, "number": MAX_TIME + 1},
        {"kind": DevKind.MINE, "data": ORDER, "slot": 1},
        {"kind": DevKind.MINE, "data": ORDER, "to": Address(b"\1" * 20)},
        {"kind": DevKind.MINE, "data": ORDER[:-1]},
        {"kind": DevKind.MINE, "data": LONG, "number": MAX_TIME},
        {"kind": DevKind.SET_CLOCK, "number": MAX_TIME + 1},
        {"kind": DevKind.SET_MINING, "number": MAX_MODE + 1},
        {"kind": DevKind.SET_BALANCE, "number": MAX_WEI + 1},
        {"kind": DevKind.SET_BALANCE, "slot": 1},
        {"kind": DevKind.SET_BALANCE, "data": b"\1"},
        {"kind": DevKind.SET_NONCE, "number": MAX_NEW_NONCE + 1},
        {"kind": DevKind.SET_STORAGE, "slot": 1 << 256},
    ],
    ids=lambda fields: "-".join([fields["kind"].name, *list(fields)[1:]]),
)
def test_arguments_out_of_range_are_refused_by_hand_and_from_bytes(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"possible|account|code|slot|order"):
        DevOperation(salt=bytes(16), **fields)
    values = {"to": ZERO_ADDRESS, "number": 0, "slot": 0, "data": b"", **fields}
    items = [
        rlp.int_to_bytes(values["kind"]),
        bytes(16),
        values["to"],
        rlp.int_to_bytes(values["number"]),
        rlp.int_to_bytes(values["slot"]),
        values["data"],
    ]
    with pytest.raises(DecodeError):
        DevOperation.decode(b"\x7c" + rlp.encode(items))


@pytest.mark.parametrize("kind", [0, 1, 2])
@given(sender=addresses)
def test_an_impersonated_transaction_has_the_sender_it_names(kind: int, sender: Address) -> None:
    raw = encode_impersonated(sender, unsigned(kind))
    tx = decode_transaction(raw)
    assert isinstance(tx, ImpersonatedTransaction)
    assert (tx.sender, tx.type, tx.chain_id, tx.nonce) == (sender, kind, 1337, 7)
    assert (tx.gas, tx.value, tx.data, tx.max_fee_per_gas) == (21_000, 5, b"\xab", 3)
    assert (tx.v, tx.r, tx.s, tx.raw) == (0, 0, 0, raw)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_signed_one_inside_is_refused(kind: int) -> None:
    with pytest.raises(DecodeError):
        decode_transaction(encode_impersonated(Address(b"\3" * 20), unsigned(kind, signed=True)))


def test_none_inside_another() -> None:
    inner = encode_impersonated(Address(b"\3" * 20), unsigned(2))
    with pytest.raises(AtollError):
        decode_transaction(encode_impersonated(Address(b"\4" * 20), inner))
