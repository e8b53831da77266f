"""Deliberate mistakes, to see that the simulation of whole networks finds them.

Each is a context manager that makes one, by replacing a function of the product or by giving the class of
a node that breaks a promise. Nothing of this is in the product's code.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from node.beacon import crosslinks
from node.beacon.state import LaneState
from node.execution.state.state import State
from node.network.crosslink_publisher import CrosslinkPublisher
from node.primitives.basics import Hash32, ShardId
from node.primitives.message import LanePosition, Message
from node.shard import delivery, messenger
from node.shard.block_frame import BlockFrame
from node.shard.lanes import AvailableMessages, InboundLane
from node.shard.run import BlockRun
from tests.simulation.devnet.node import Node
from tests.simulation.simnet.mutants import replaced
from tests.support.forgetful_store import ForgetfulStore


@contextmanager
def skip_a_message() -> Iterator[type[Node]]:
    """The cursor of an inbox goes two ahead now and then."""
    real = messenger.set_inbox

    def mistaken(state: State, src: ShardId, position: LanePosition) -> None:
        more = position.count % 4 == 3
        real(state, src, replace(position, count=position.count + more))

    with replaced(messenger, "set_inbox", mistaken):
        yield Node


@contextmanager
def deliver_again_what_failed() -> Iterator[type[Node]]:
    """The cursor of an inbox stays where it was if the message fails."""
    real = BlockRun.run_arrival

    def mistaken(self: BlockRun, message: Message) -> None:
        before = messenger.inbox(self.state, message.src)
        real(self, message)
        if not self.receipts[-1].status:
            messenger.set_inbox(self.state, message.src, before)

    with replaced(BlockRun, "run_arrival", mistaken):
        yield Node


@contextmanager
def forget_a_checkpoint() -> Iterator[type[Node]]:
    """With those that an inbox has passed the beacon drops one more."""
    real = crosslinks._consumed

    def mistaken(*args: object) -> tuple[ShardId, LaneState]:
        src, lane = real(*args)  # type: ignore[arg-type]
        return src, replace(lane, checkpoints=lane.checkpoints[1:])

    with replaced(crosslinks, "_consumed", mistaken):
        yield Node


@contextmanager
def lose_refunds() -> Iterator[type[Node]]:
    """What a call did not use of its gas is paid back to nobody."""
    real = delivery._pay

    def mistaken(frame: BlockFrame, message: Message, used: int, prepaid: int) -> None:
        real(frame, message, used, used)

    with replaced(delivery, "_pay", mistaken):
        yield Node


@contextmanager
def refund_the_recipient() -> Iterator[type[Node]]:
    """What a call did not use of its gas goes to whom it called: not a wei is lost."""
    real = delivery._pay

    def mistaken(frame: BlockFrame, message: Message, used: int, prepaid: int) -> None:
        real(frame, replace(message, refund_to=message.to), used, prepaid)

    with replaced(delivery, "_pay", mistaken):
        yield Node


@contextmanager
def trust_whoever_serves_a_lane() -> Iterator[type[Node]]:
    """Messages are not held against the lane's checkpoints."""

    def mistaken(
        self: InboundLane,
        messages: Iterable[Message],
        dst: ShardId,
        checkpoints: Sequence[LanePosition],
    ) -> int:
        taken = 0
        for message in messages:
            self.verified[self.position.count] = replace(message, seq=self.position.count)
            self.position = self.position.advance(message)
            taken += 1
        return taken

    with replaced(InboundLane, "extend", mistaken):
        yield Node


@contextmanager
def say_crosslinks_once() -> Iterator[type[Node]]:
    """A crosslink that is lost is not sent again."""
    with replaced(CrosslinkPublisher, "missing", lambda self: range(1, 1)):
        yield Node


@contextmanager
def leave_out_the_proof() -> Iterator[type[Node]]:
    """A block that stops between two checkpoints does not bring the hashes up to the next one."""
    empty: tuple[Hash32, ...] = ()
    with replaced(AvailableMessages, "tail", lambda self: empty):
        yield Node


class Deaf(ForgetfulStore):
    """A store that does not hear of `sync`."""

    def write(self, batch: Mapping[bytes, bytes | None], *, sync: bool) -> None:
        """Nothing of it is durable."""
        super().write(batch, sync=False)


class Unsynced(Node):
    """Commits blocks without making them durable, and tells everybody."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.stores = ForgetfulStore(), Deaf()


@contextmanager
def commit_without_sync() -> Iterator[type[Node]]:
    """A shard block may be lost in a crash after it was decided and told."""
    yield Unsynced


MUTANTS = {
    mutant.__name__.replace("_", "-"): mutant
    for mutant in (
        skip_a_message,
        deliver_again_what_failed,
        forget_a_checkpoint,
        lose_refunds,
        refund_the_recipient,
        trust_whoever_serves_a_lane,
        say_crosslinks_once,
        leave_out_the_proof,
        commit_without_sync,
    )
}
"""Mistakes by name."""
