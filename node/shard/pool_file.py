"""The pool on disk while the node is stopped: its users' transactions that are in no block yet.

File: `MAGIC(8) | sha256(32) of the rest | rlp([genesis hash, era, [transactions]])`. It is written when the
node is asked to end, and deleted once it has been read. The pool of a killed node is lost.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.primitives import rlp
from node.primitives.decoding import decoder
from node.primitives.errors import DecodeError
from node.storage.files import remove, write_atomically

MAGIC = b"ATOLPOL\x01"
DIGEST_BYTES = 32
MAX_BYTES = 80 << 20
"""More than a full pool takes (`PoolLimits.max_bytes`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPool:
    """`transactions` are in the order in which they were handed in, in their wire form."""

    genesis: bytes
    era: int
    transactions: Sequence[bytes]


def encode_pool(kept: KeptPool) -> bytes:
    body = rlp.encode([kept.genesis, rlp.int_to_bytes(kept.era), list(kept.transactions)])
    return MAGIC + hashlib.sha256(body).digest() + body


@decoder("pool file")
def decode_pool(content: bytes) -> KeptPool:
    """Raises DecodeError."""
    digest, body = content[len(MAGIC) :][:DIGEST_BYTES], content[len(MAGIC) + DIGEST_BYTES :]
    if not content.startswith(MAGIC):
        raise DecodeError("pool file: written by another version of atoll, or none of ours")
    if hashlib.sha256(body).digest() != digest:
        raise DecodeError("pool file: its checksum is wrong")
    genesis, era, transactions = rlp.decode_list(body, 3)
    return KeptPool(
        genesis=rlp.as_bytes(genesis),
        era=rlp.as_int(era),
        transactions=[rlp.as_bytes(raw) for raw in rlp.as_list(transactions)],
    )


class PoolFile:
    """The file of one node, in one network."""

    def __init__(self, path: Path, genesis: bytes) -> None:
        self._path = path
        self._genesis = genesis

    def save(self, transactions: Sequence[bytes], *, era: int) -> None:
        """Durable when it returns. Raises OSError."""
        if transactions:
            kept = KeptPool(genesis=self._genesis, era=era, transactions=transactions)
            write_atomically(self._path, encode_pool(kept), mode=0o600)

    def take(self, *, era: int) -> Sequence[bytes]:
        """Read and delete the file; empty if there is none.

        Raises OSError, or DecodeError if the content is invalid: the file is deleted then, too.
        """
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return ()
        content = self._path.read_bytes() if size <= MAX_BYTES else b""
        remove(self._path)
        kept = decode_pool(content)
        if kept.genesis != self._genesis:
            raise DecodeError("pool file: it is of another network")
        if kept.era != era:
            raise DecodeError(f"pool file: it is of era {kept.era}, and the network is in {era}")
        return kept.transactions
