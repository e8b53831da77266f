"""Merkle proofs of accounts, checked before they are shown: who gave them needs no trust."""

from collections.abc import Sequence

from node.execution.state.account import EMPTY_ACCOUNT, Account, decode_account, decode_slot
from node.execution.trie.errors import BadProof
from node.execution.trie.trie_proof import verify_proof
from node.primitives.basics import keccak_fast
from node.primitives.errors import CorruptData
from node.query.port import ProvenAccount
from rpc.errors import ResourceUnavailable
from rpc.wire import AccountProof, StorageProof


def checked(
    shard: int, root: bytes, address: bytes, slots: Sequence[bytes], proven: ProvenAccount
) -> AccountProof:
    """The proof as the JSON-RPC shows it. Raises ResourceUnavailable where it does not prove its values."""
    try:
        return _checked(root, address, slots, proven)
    except (BadProof, CorruptData) as error:
        raise ResourceUnavailable(f"shard {shard} is unavailable: {error}") from None


def _checked(
    root: bytes, address: bytes, slots: Sequence[bytes], proven: ProvenAccount
) -> AccountProof:
    balance = int.from_bytes(proven.balance, "big")
    claimed = Account(proven.nonce, balance, proven.storage_root, proven.code_hash)
    value = verify_proof(root, keccak_fast(address), proven.proof)
    if claimed != (decode_account(value) if value else EMPTY_ACCOUNT):
        raise BadProof("it gave another account than it proved")
    if [entry.slot for entry in proven.slots] != list(slots):
        raise BadProof("it proved other slots")
    storage = []
    for entry in proven.slots:
        found = verify_proof(proven.storage_root, keccak_fast(entry.slot), entry.proof)
        number = int.from_bytes(entry.value, "big")
        if number != decode_slot(found or b""):
            raise BadProof("it gave another value than it proved")
        slot = int.from_bytes(entry.slot, "big")
        storage.append(StorageProof(slot=slot, value=number, proof=tuple(entry.proof)))
    return AccountProof(
        address=address,
        balance=balance,
        nonce=proven.nonce,
        code_hash=proven.code_hash,
        storage_hash=proven.storage_root,
        account_proof=tuple(proven.proof),
        storage=tuple(storage),
    )
