"""The port of a chain to the consensus host. The beacon and every shard implement it."""

from typing import Protocol

import structlog

from consensus import errors as consensus_errors
from consensus.types import BlockId, Certificate, ChainContext, ValidatorSet
from node.primitives.errors import AtollError, InvalidBlock, InvalidTransaction, PeerFault

_log = structlog.get_logger()


FAULTS = (PeerFault, InvalidBlock, consensus_errors.PeerFault)
"""The faults of a message for which its sender can be blamed. Everything else ends this node."""


class NotReady(InvalidBlock):
    """A block refers to something that is not here yet; the same block may be valid a little later."""


class Unjudged(AtollError):
    """Judging tripped over a bug of ours: whether the block is valid is not known here."""


class Diverged(AtollError):
    """A quorum decided what this node finds invalid: its rules or its data differ. It must stop."""


class EffectFailed(AtollError):
    """An effect of a message has failed here, with one of FAULTS: its sender is not to blame. We must stop."""


class Application(Protocol):
    """A chain as consensus sees it: opaque values with ids, decided one height at a time.

    A *value* travels in a proposal; the stored and synced form may be smaller (see `decided`).
    No value is empty.
    """

    chain: int
    "Number of the chain on the wire."

    @property
    def context(self) -> ChainContext:
        """The context of signatures of the next height: it changes with the era."""

    def head_height(self) -> int:
        """The last decided height."""

    def validators(self) -> ValidatorSet:
        """The committee of the next height."""

    def has_work(self) -> bool:
        """True if the next block would hold something. Asked after every event: must be cheap."""

    async def build(self) -> tuple[BlockId, bytes]:
        """A value for the next height."""

    def identify(self, value: bytes) -> BlockId:
        """The id that a value claims, without judging it. Raises DecodeError."""

    def body_matches(self, value: bytes) -> bool:
        """True if the id of the block commits to its content: only then its signers vouch for it. Raises
        DecodeError.
        """

    async def judge(self, value: bytes, *, decided: bool) -> BlockId:
        """The id of a valid value of the next height. Raises InvalidBlock, NotReady or DecodeError.

        `decided` says that a certificate vouches for what only the proposer's peers can check
        (its time, the proof beside the block); then nothing is waited for.
        """

    def objection(self, block_id: BlockId) -> str | None:
        """Why not to prevote for a block, valid as it is, that is proposed without a polka.

        Asked of what `judge` or `build` has gone through, before we vote for it and before we propose it
        again; never of a block that has a polka or is decided.
        """

    async def commit(self, block_id: BlockId, value: bytes, certificate: Certificate) -> None:
        """Make a judged value the head, durably, and tell the rest of the node.

        What a restart or a long height made it forget is judged again; raises as `judge` then.
        """

    def decided(self, height: int) -> tuple[bytes, Certificate]:
        """A decided value and its certificate, for peers that are behind."""


async def judge(app: Application, value: bytes, *, decided: bool) -> BlockId:
    """`app.judge` of a value that a peer sent.

    Raises InvalidBlock, NotReady or DecodeError for a fault of the block, and Unjudged for an error of ours.
    Errors of the disk go through unchanged.
    """
    try:
        return await app.judge(value, decided=decided)
    except InvalidTransaction as error:
        raise InvalidBlock(str(error)) from error
    except (AtollError, OSError):
        raise
    except Exception as error:
        chain = app.context.tag.decode()
        _log.exception("judging a block failed", chain=chain)
        why = (
            f"{chain}: judging a block failed: {error!r}; that is a bug of ours, the log says where"
        )
        raise Unjudged(why) from error
