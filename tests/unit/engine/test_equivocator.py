"""A validator that contradicts itself on purpose: what it says, and when."""

from consensus.signing import check_vote
from consensus.types import (
    Address,
    BlockId,
    ChainContext,
    Height,
    Round,
    Validator,
    ValidatorSet,
    Vote,
    VoteType,
)
from node.config.node_faults import NodeFaults
from node.engine.equivocator import Equivocator
from node.primitives.basics import keccak256
from node.primitives.keys import KeccakSecp256k1, SigningKey

KEY = SigningKey(keccak256(b"equivocator"))
CONTEXT = ChainContext(genesis=b"g" * 32, tag=b"shard/0")
SET = ValidatorSet([Validator(address=Address(KEY.address), power=1)])


def vote(height: int, type: VoteType = VoteType.PREVOTE, block: bytes | None = b"b" * 32) -> Vote:
    return Vote(
        type=type,
        height=Height(height),
        round=Round(0),
        block_id=None if block is None else BlockId(block),
        validator=Address(KEY.address),
        signature=bytes(65),
    )


class Speaker:
    def __init__(self, faults: NodeFaults) -> None:
        self.faults = faults
        self.said: list[Vote] = []
        self.equivocator = Equivocator(
            key=KEY,
            context=CONTEXT,
            broadcast=self.said.append,  # type: ignore[arg-type]
            faults=lambda: self.faults,
        )

    def lies(self) -> list[Vote]:
        return [v for v in self.said if v.signature != bytes(65)]


def test_each_prevote_is_contradicted_with_a_good_signature() -> None:
    speaker = Speaker(NodeFaults(equivocate=True))
    honest = [vote(1), vote(1, VoteType.PRECOMMIT), vote(2, block=None)]
    for message in honest:
        speaker.equivocator(message)
    assert [v for v in speaker.said if v in honest] == honest
    lies = speaker.lies()
    assert [(v.height, v.type) for v in lies] == [(1, VoteType.PREVOTE), (2, VoteType.PREVOTE)]
    assert lies[0].block_id is None
    assert lies[1].block_id is not None
    for lie in lies:
        check_vote(CONTEXT, SET, lie, KeccakSecp256k1())  # type: ignore[arg-type]


def test_late_contradictions_come_that_many_heights_later() -> None:
    speaker = Speaker(NodeFaults(equivocate=True, late=3))
    for height in range(1, 7):
        speaker.equivocator(vote(height))
        assert [v.height for v in speaker.lies()] == list(range(1, height - 2))


def test_honest_again_is_honest_about_what_was_before_as_well() -> None:
    speaker = Speaker(NodeFaults(equivocate=True, late=3))
    for height in range(1, 4):
        speaker.equivocator(vote(height))
    speaker.faults = NodeFaults()
    speaker.equivocator(vote(4))
    speaker.faults = NodeFaults(equivocate=True, late=3)
    for height in range(5, 10):
        speaker.equivocator(vote(height))
    assert [v.height for v in speaker.lies()] == [5, 6]
