"""The shard block header: an unmodified Prague header (EIP-1559, 4788, 4844, 4895, 7685)."""

from dataclasses import dataclass, field
from functools import cached_property

from node.primitives import rlp
from node.primitives.basics import (
    EMPTY_TRIE_ROOT,
    EMPTY_UNCLES_HASH,
    Address,
    Hash32,
    keccak256,
)
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError

BLOOM_BYTES = 256


@dataclass(frozen=True, kw_only=True)
class Header:
    """The 21 fields of a Prague header, in wire order. Roots and hashes are 32 bytes, wei and gas are ints."""

    parent_hash: Hash32
    ommers_hash: Hash32 = EMPTY_UNCLES_HASH
    coinbase: Address
    state_root: Hash32
    transactions_root: Hash32 = EMPTY_TRIE_ROOT
    receipts_root: Hash32 = EMPTY_TRIE_ROOT
    logs_bloom: bytes = field(default=b"\0" * BLOOM_BYTES, repr=False)
    difficulty: int = 0
    number: int
    gas_limit: int
    gas_used: int = 0
    timestamp: int
    extra_data: bytes = b""
    prev_randao: Hash32
    nonce: bytes = b"\0" * 8
    base_fee_per_gas: int
    withdrawals_root: Hash32 = EMPTY_TRIE_ROOT
    blob_gas_used: int = 0
    excess_blob_gas: int = 0
    parent_beacon_block_root: Hash32
    requests_hash: Hash32

    @cached_property
    def encoded(self) -> bytes:
        return rlp.encode(
            [
                self.parent_hash,
                self.ommers_hash,
                self.coinbase,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.logs_bloom,
                rlp.int_to_bytes(self.difficulty),
                rlp.int_to_bytes(self.number),
                rlp.int_to_bytes(self.gas_limit),
                rlp.int_to_bytes(self.gas_used),
                rlp.int_to_bytes(self.timestamp),
                self.extra_data,
                self.prev_randao,
                self.nonce,
                rlp.int_to_bytes(self.base_fee_per_gas),
                self.withdrawals_root,
                rlp.int_to_bytes(self.blob_gas_used),
                rlp.int_to_bytes(self.excess_blob_gas),
                self.parent_beacon_block_root,
                self.requests_hash,
            ]
        )

    @cached_property
    def hash(self) -> Hash32:
        return keccak256(self.encoded)

    @classmethod
    def from_items(cls, decoded: rlp.Decoded) -> "Header":
        """From the decoded RLP list. Raises DecodeError."""
        i = rlp.as_list(decoded, 21)

        def hash32(k: int) -> Hash32:
            return Hash32(rlp.as_bytes(i[k], 32))

        def uint(k: int) -> int:
            return rlp.as_int(i[k], 64)

        return cls(
            parent_hash=hash32(0),
            ommers_hash=hash32(1),
            coinbase=Address(rlp.as_bytes(i[2], 20)),
            state_root=hash32(3),
            transactions_root=hash32(4),
            receipts_root=hash32(5),
            logs_bloom=rlp.as_bytes(i[6], BLOOM_BYTES),
            difficulty=uint(7),
            number=uint(8),
            gas_limit=uint(9),
            gas_used=uint(10),
            timestamp=uint(11),
            extra_data=_extra(i[12]),
            prev_randao=hash32(13),
            nonce=rlp.as_bytes(i[14], 8),
            base_fee_per_gas=rlp.as_int(i[15]),
            withdrawals_root=hash32(16),
            blob_gas_used=uint(17),
            excess_blob_gas=uint(18),
            parent_beacon_block_root=hash32(19),
            requests_hash=hash32(20),
        )

    @classmethod
    @decoder("header")
    def decode(cls, data: bytes) -> "Header":
        """Raises DecodeError."""
        return cls.from_items(rlp.decode(data))


def _extra(item: rlp.Decoded) -> bytes:
    extra = rlp.as_bytes(item)
    if len(extra) > 32:
        raise DecodeError("header: extra data is longer than 32 bytes")
    return extra
