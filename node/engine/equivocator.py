"""Misbehaviour on purpose, for tests of what the network does about it (`node.config.node_faults`)."""

from collections import deque
from collections.abc import Callable

from consensus.signing import vote_sign_bytes
from consensus.types import Address, BlockId, ChainContext, Vote, VoteType
from node.config.node_faults import NodeFaults
from node.primitives.basics import keccak_fast
from node.primitives.keys import SigningKey
from node.wire import ProposalMessage

Broadcast = Callable[[ProposalMessage | Vote], None]
MAX_KEPT = 4096


class Equivocator:
    """Contradicts each own prevote while the fault is on, at once or `late` heights after it.

    It stands between an honest participant and the network and signs without looking at the last-signed record;
    the journal and the record know only of the honest votes.
    """

    def __init__(
        self,
        *,
        key: SigningKey,
        context: ChainContext,
        broadcast: Broadcast,
        faults: Callable[[], NodeFaults],
    ) -> None:
        self._key = key
        self._me = Address(key.address)
        self._context = context
        self._broadcast = broadcast
        self._faults = faults
        self._kept: deque[Vote] = deque(maxlen=MAX_KEPT)

    def __call__(self, message: ProposalMessage | Vote) -> None:
        self._broadcast(message)
        faults = self._faults()
        if not faults.equivocate:
            self._kept.clear()
        elif (
            isinstance(message, Vote)
            and message.type is VoteType.PREVOTE
            and message.validator == self._me
        ):
            self._kept.append(message)
            while self._kept and self._kept[0].height <= message.height - faults.late:
                self._broadcast(self._contradict(self._kept.popleft()))

    def _contradict(self, vote: Vote) -> Vote:
        """Nil if the vote is for a block, else for a block that does not exist."""
        block_id = None
        if vote.block_id is None:
            block_id = BlockId(keccak_fast(b"no block %d" % vote.height))
        preimage = vote_sign_bytes(self._context, vote.type, vote.height, vote.round, block_id)
        return Vote(
            type=vote.type,
            height=vote.height,
            round=vote.round,
            block_id=block_id,
            validator=vote.validator,
            signature=self._key.sign_digest(keccak_fast(preimage)),
        )
