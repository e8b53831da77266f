"""An account as the state trie holds it: rlp([nonce, balance, storage root, code hash])."""

from typing import NamedTuple

from node.primitives import rlp
from node.primitives.basics import EMPTY_CODE_HASH, EMPTY_TRIE_ROOT
from node.primitives.errors import CorruptData, DecodeError


class Account(NamedTuple):
    """Nonce, balance in wei, root of the storage trie, hash of the code."""

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes

    @property
    def is_empty(self) -> bool:
        """Empty per EIP-161: no nonce, no balance, no code."""
        return self.nonce == 0 and self.balance == 0 and self.code_hash == EMPTY_CODE_HASH


EMPTY_ACCOUNT = Account(0, 0, EMPTY_TRIE_ROOT, EMPTY_CODE_HASH)


def encode_account(account: Account) -> bytes:
    nonce, balance, storage_root, code_hash = account
    size = (balance.bit_length() + 7) // 8
    payload = (
        rlp.encode_int(nonce)
        + (
            # the head byte and the balance as one integer: what rlp.encode_int gives, in one step
            ((0x80 + size) << 8 * size | balance).to_bytes(size + 1, "big")
            if balance > 0x7F
            else rlp.encode_int(balance)
        )
        + b"\xa0"
        + storage_root
        + b"\xa0"
        + code_hash
    )
    return b"\xf8" + len(payload).to_bytes(1, "big") + payload  # 68 to 108 bytes


def decode_account(data: bytes) -> Account:
    """Decode an account. Raises CorruptData if the bytes are none."""
    try:
        nonce, balance, storage_root, code_hash = rlp.decode_list(data, 4)
        return Account(
            rlp.as_int(nonce, 64),
            rlp.as_int(balance),
            rlp.as_bytes(storage_root, 32),
            rlp.as_bytes(code_hash, 32),
        )
    except DecodeError as error:
        raise CorruptData(f"state: an account is malformed: {error}") from None


def encode_slot(value: int) -> bytes:
    """A storage value as the storage trie holds it; zero is absence."""
    return rlp.encode_int(value) if value else b""


def decode_slot(data: bytes) -> int:
    if not data:
        return 0
    return data[0] if len(data) == 1 else int.from_bytes(data[1:], "big")
