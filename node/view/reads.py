"""Reading accounts: our own shard's from our database, another shard's with proofs.

What another shard's node answers is checked against the state root of the header that is asked about,
and for a network block that header is crosslinked: the node can lie about nothing but its own absence.
"""

from dataclasses import dataclass
from functools import partial

from node.primitives import rlp
from node.primitives.basics import EMPTY_CODE_HASH, keccak256
from node.query.port import AccountAt
from node.query.questions import AccountQuestion, ProveQuestion, StorageQuestion
from node.view import proofs
from node.view.shards import Shards
from rpc.errors import ResourceUnavailable
from rpc.threads import FEW
from rpc.wire import AccountProof


@dataclass(frozen=True, slots=True)
class StatePlace:
    """Where an account is read: the shard it lives on, that shard's height, and the state root there."""

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
    check = partial(proofs.checked, place.shard, place.root, address, slots, proven)
    return await shards.aside.run_if(len(slots) > FEW, check)


async def _answered(shards: Shards, place: StatePlace, address: bytes, code: bool) -> AccountAt:
    return await shards.ask(
        place.shard, AccountQuestion(height=place.height, address=address, code=code)
    )
