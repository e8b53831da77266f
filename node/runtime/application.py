"""What a chain gives to the consensus host. The beacon and every shard implement it."""

from typing import Protocol

from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet


class Application(Protocol):
    """A chain as consensus sees it: opaque values with ids, decided one height at a time.

    A *value* is what travels in a proposal; what is stored and synced may be less (see `decided`).
    """

    chain: int
    "Number of the chain on the wire."
    context: ChainContext

    def head_height(self) -> int:
        """The last decided height."""

    def validators(self) -> ValidatorSet:
        """Who decides the next height."""

    def has_work(self) -> bool:
        """Whether the next block would hold something."""

    async def build(self) -> tuple[BlockId, bytes]:
        """A value for the next height."""

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        """The id of a valid value of the next height. Raises InvalidBlock or DecodeError.

        `decided` says that a certificate vouches for what only the proposer's peers can check
        (its time, the proof beside the block).
        """

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        """Make a judged value the head, durably, and tell the rest of the node."""

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        """A decided value and its certificate, for peers that are behind."""
