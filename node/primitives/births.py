"""The birth of a contract, as a shard reports it to the beacon (docs/protocol.md, "Requests").

    [creator, nonce, kept]                      by CREATE or a transaction
    [creator, salt, keccak256(init code), kept] by CREATE2 (EIP-1014)

The address is computed from these values, so a shard can only claim contracts that its creators made.
"""

from dataclasses import dataclass

from node.primitives import rlp
from node.primitives.basics import Address, keccak_fast
from node.primitives.errors import DecodeError


def contract_address(creator: bytes, nonce: int) -> Address:
    """The address of a contract that `creator` makes by CREATE, or by a transaction, at `nonce`."""
    return Address(keccak_fast(rlp.encode([creator, rlp.int_to_bytes(nonce)]))[12:])


def create2_address(creator: bytes, salt: bytes, init_hash: bytes) -> Address:
    """The address of a contract made by CREATE2; `init_hash` is the keccak256 of the init code."""
    return Address(keccak_fast(b"\xff" + creator + salt + init_hash)[12:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A contract that was created. `kept`: it still existed when the transaction that created it ended.

    `salt` and `init_hash` have 32 bytes if CREATE2 made it. Otherwise they are empty and `nonce` counts.
    """

    creator: Address
    nonce: int = 0
    salt: bytes = b""
    init_hash: bytes = b""
    kept: bool = True

    @property
    def address(self) -> Address:
        if self.salt:
            return create2_address(self.creator, self.salt, self.init_hash)
        return contract_address(self.creator, self.nonce)

    def row(self) -> list[rlp.Item]:
        kept = rlp.int_to_bytes(self.kept)
        if self.salt:
            return [self.creator, self.salt, self.init_hash, kept]
        return [self.creator, rlp.int_to_bytes(self.nonce), kept]

    @classmethod
    def from_row(cls, decoded: rlp.Decoded) -> "Birth":
        """Raises DecodeError."""
        row = rlp.as_list(decoded)
        if len(row) not in (3, 4):
            raise DecodeError(f"a birth has 3 or 4 fields, not {len(row)}")
        creator = Address(rlp.as_bytes(row[0], 20))
        kept = rlp.as_int(row[-1], 8)
        if kept > 1:
            raise DecodeError(f"a birth is kept or not: 0 or 1, not {kept}")
        if len(row) == 3:
            return cls(creator=creator, nonce=rlp.as_int(row[1], 64), kept=bool(kept))
        salt, init_hash = rlp.as_bytes(row[1], 32), rlp.as_bytes(row[2], 32)
        return cls(creator=creator, salt=salt, init_hash=init_hash, kept=bool(kept))
