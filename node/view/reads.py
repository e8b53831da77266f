"""Reading accounts: our own shard's from our database, another shard's with proofs.

What another shard's node answers is checked against the state root of the header that is asked about,
and for a network block that header is crosslinked: the node can lie about nothing but its own absence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from node.execution.state.account import EMPTY_ACCOUNT, Account, decode_account, decode_slot
from node.execution.trie.errors import BadProof
from node.execution.trie.trie_proof import verify_proof
from node.primitives import rlp
from node.primitives.basics import EMPTY_CODE_HASH, keccak256, keccak_fast
from node.primitives.errors import CorruptData
from node.query.port import AccountAt, ProvenAccount
from node.query.questions import AccountQuestion, ProveQuestion, StorageQuestion
from node.view.shards import Shards
from rpc.errors import ResourceUnavailable
from rpc.threads import FEW
from rpc.wire import AccountProof, StorageProof


@dataclass(frozen=True, slots=True)
class StatePlace:
    """The place of an account's state: the shard it lives on, that shard's height, and the state root there."""

    shard: int
    height: int
    root: bytes


async def read_account(
    shards: Shards, place: StatePlace, address: bytes, *, code: bool = False
) -> AccountAt:
    """Nonce and balance, and the code if that is wanted. Raises ResourceUnavailable for a lie."""
    if place.shard == shards.own:
        return await _answered(shards, place, address, code)
    proven = await read_proof(shards, place, address, [])
    body = b""
    if code and proven.code_hash != EMPTY_CODE_HASH:
        body = (await _answered(shards, place, address, True)).code
        if keccak256(body) != proven.code_hash:
            raise ResourceUnavailable(
                f"shard {place.shard} is unavailable: it gave other code than it proved"
            )
    return AccountAt(nonce=proven.nonce, balance=rlp.int_to_bytes(proven.balance), code=body)


async def read_slot(shards: Shards, place: StatePlace, address: bytes, slot: bytes) -> bytes:
    """A storage word, 32 bytes. Raises ResourceUnavailable for a lie."""
    if place.shard == shards.own:
        return await shards.ask(
            place.shard, StorageQuestion(height=place.height, address=address, slot=slot)
        )
    proven = await read_proof(shards, place, address, [slot])
    return proven.storage[0].value.to_bytes(32, "big")


async def read_proof(
    shards: Shards, place: StatePlace, address: bytes, slots: list[bytes]
) -> AccountProof:
    """An account and slots with their proofs, which have been checked."""
    proven = await shards.ask(
        place.shard, ProveQuestion(height=place.height, address=address, slots=slots)
    )
    check = partial(checked, place.shard, place.root, address, slots, proven)
    return await shards.aside.run_if(len(slots) > FEW, check)


async def _answered(shards: Shards, place: StatePlace, address: bytes, code: bool) -> AccountAt:
    return await shards.ask(
        place.shard, AccountQuestion(height=place.height, address=address, code=code)
    )


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
