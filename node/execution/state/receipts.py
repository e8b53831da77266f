"""Logs, blooms and receipts in their consensus encoding (Yellow Paper 4.3.1, EIP-658, EIP-2718)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from node.primitives import rlp
from node.primitives.basics import Address, keccak_fast
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

BLOOM_BYTES = 256
EMPTY_BLOOM = b"\0" * BLOOM_BYTES
MAX_TOPICS = 4
_NO_LOGS = rlp.encode_bytes(EMPTY_BLOOM) + rlp.encode([])
RECEIPT_TYPES = (
    0,
    1,
    2,
    3,
    4,
    0x7C,
    0x7D,
    0x7E,
)  # the last three are system items of a shard block


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One LOG0 to LOG4: the emitting contract, up to four topics of 32 bytes, data."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes = field(repr=False)

    def items(self) -> list[rlp.Item]:
        return [self.address, list(self.topics), self.data]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The receipt of one transaction. `status` is 1 for success; `cumulative_gas_used` is the gas of the block
    so far.
    """

    type: int
    status: int
    cumulative_gas_used: int
    logs: tuple[Log, ...]

    @cached_property
    def bloom(self) -> bytes:
        return logs_bloom(self.logs)

    @cached_property
    def encoded(self) -> bytes:
        """The item of the receipts trie: the RLP list, after the type byte unless that is zero."""
        end = _NO_LOGS
        if self.logs:
            end = rlp.encode_bytes(self.bloom) + rlp.encode([log.items() for log in self.logs])
        body = rlp.encode_list(
            rlp.encode_int(self.status) + rlp.encode_int(self.cumulative_gas_used) + end
        )
        return body if self.type == 0 else bytes([self.type]) + body


@decoder("receipt")
def decode_receipt(data: bytes) -> Receipt:
    """The receipt of its encoding. Raises DecodeError; the bloom must be that of the logs."""
    kind = 0
    if data[:1] < b"\xc0":
        kind = data[0] if data else 0
        if kind == 0 or kind not in RECEIPT_TYPES:
            raise DecodeError(f"receipt: unknown type {kind}")
        data = data[1:]
    status, gas_used, bloom, logs = rlp.decode_list(data, 4)
    receipt = Receipt(
        type=kind,
        status=rlp.as_int(status, 8),
        cumulative_gas_used=rlp.as_int(gas_used, 64),
        logs=tuple(decode_log(item) for item in rlp.as_list(logs)),
    )
    if receipt.status > 1:
        raise DecodeError(f"receipt: status {receipt.status} is neither 0 nor 1")
    if rlp.as_bytes(bloom, BLOOM_BYTES) != receipt.bloom:
        raise DecodeError("receipt: the bloom is not that of the logs")
    return receipt


def decode_log(item: rlp.Decoded) -> Log:
    address, topics, data = rlp.as_list(item, 3)
    topic_items = rlp.as_list(topics)
    if len(topic_items) > MAX_TOPICS:
        raise DecodeError(f"log: {len(topic_items)} topics are more than {MAX_TOPICS}")
    return Log(
        address=Address(rlp.as_bytes(address, 20)),
        topics=tuple(rlp.as_bytes(topic, 32) for topic in topic_items),
        data=rlp.as_bytes(data),
    )


@lru_cache(maxsize=8192)
def bloom_bits(value: bytes) -> int:
    """Three of 2048 bits: the low 11 bits of the first three 16-bit words of the hash."""
    digest = keccak_fast(value)
    return (
        1 << (int.from_bytes(digest[0:2], "big") & 2047)
        | 1 << (int.from_bytes(digest[2:4], "big") & 2047)
        | 1 << (int.from_bytes(digest[4:6], "big") & 2047)
    )


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The 256-byte bloom of the logs' addresses and topics."""
    bits = 0
    for log in logs:
        bits |= bloom_bits(log.address)
        for topic in log.topics:
            bits |= bloom_bits(topic)
    return bits.to_bytes(BLOOM_BYTES, "big") if bits else EMPTY_BLOOM


def or_blooms(blooms: Iterable[bytes]) -> bytes:
    """The union: the bloom of a block from those of its receipts."""
    bits = 0
    for bloom in blooms:
        if bloom != EMPTY_BLOOM:
            bits |= int.from_bytes(bloom, "big")
    return bits.to_bytes(BLOOM_BYTES, "big")
