"""The highest network block that any client may have been shown: a node reads up to it before it says no.

A client sees a receipt at one node and goes on at another, which may not have that block yet. A node shows
network block n when the beacon has decided n. To decide it, more than two thirds of the beacon's stake first
signed a precommit for it. So a node asks enough of the beacon's validators for the highest height that they
have precommitted or decided, and so hears of every block that any client can have been shown by then
(docs/protocol.md, "Read your writes"). A validator of a small beacon knows it without asking.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from consensus.types import Address, ValidatorSet
from node.concurrency.height_gate import Started
from node.primitives.errors import PeerFault
from p2p.errors import PeerFault as NetworkFault
from rpc.times import CATCH_UP

DOUBT = 1.5
"""Seconds after which a height is not waited for any more that only faulty validators may have named."""
SECOND_LOOK = 1.5  # seconds for a caller that has an answer and only wants to be sure
PACE = 0.02  # seconds between two polls: questions asked meanwhile share the second
RETRY = 0.1  # seconds after which a validator that could not be asked is asked again


class Behind(Exception):
    """This node does not show what others may have shown, or cannot tell; `str()` says which."""


class Poll:
    """The heights that members of a committee report. Pure."""

    def __init__(self, committee: ValidatorSet) -> None:
        self._committee = committee
        self._heights: dict[Address, int] = {}

    def answer(self, member: Address, height: int) -> None:
        """`member` has signed for the decision of `height`, and of none above."""
        if member in self._committee:
            self._heights[member] = height

    def waits_for(self, member: Address) -> bool:
        return member not in self._heights

    @property
    def enough(self) -> bool:
        """True if every quorum has an honest member among the members that answered.

        That is so if the stake of the silent members and the greatest stake of faulty ones are together no
        quorum.
        """
        total = self._committee.total_power
        powers = [self._committee.power_of(member) for member in self._heights]
        # Less than a third of all stake is faulty. Where each member has a third or more, none is faulty.
        faulty = 0 if all(3 * power >= total for power in powers) else (total - 1) // 3
        return not self._committee.is_quorum(total - sum(powers) + faulty)

    @property
    def highest(self) -> int:
        """No block above it was decided when these answers were given, if they are `enough`."""
        return max(self._heights.values(), default=0)

    @property
    def vouched(self) -> int:
        """The highest height that an honest member has named. As good as `highest` if every honest one
        has answered; faulty ones cannot raise it."""
        power = 0
        for member, height in sorted(self._heights.items(), key=lambda item: -item[1]):
            power += self._committee.power_of(member)
            if self._committee.is_skip(power):
                return height
        return 0


class _Round:
    """One poll over the network, shared by all callers that asked before it began."""

    def __init__(self) -> None:
        self.poll: Poll | None = None
        self.waiters = 0
        self.scope = trio.CancelScope()


class Frontier:
    """`committee` decides the next beacon block, `me` is this node's address if it has a key, `reached` the
    highest height that this node itself has decided or precommitted. `shown` is the network block that it
    shows; call `grown` when that rises. `ask` brings the answer of a member, and raises a fault of the peer.
    """

    def __init__(
        self,
        *,
        committee: Callable[[], ValidatorSet],
        me: Address | None,
        reached: Callable[[], int],
        shown: Callable[[], int],
        ask: Callable[[Address], Awaitable[int]],
    ) -> None:
        self._committee = committee
        self._me = me
        self._reached = reached
        self.shown = shown
        self._ask = ask
        self._changed = trio.Event()
        self._next: _Round | None = None
        self._began = float("-inf")
        self._asking = 0  # rounds without enough answers
        self._nursery: trio.Nursery | None = None
        self.rounds = 0
        """Polls that went over the network."""

    async def run(self, *, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
        """Ask on behalf of waiting callers, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            if (
                self._next is not None
            ):  # asked before the start: the network serves while the node starts
                self._nursery.start_soon(self._conduct, self._next)
            task_status.started()
            await trio.sleep_forever()

    def grown(self) -> None:
        """This node shows more than before, or has heard an answer."""
        self._changed.set()
        self._changed = trio.Event()

    async def show(self, height: int, *, patience: float = CATCH_UP) -> None:
        """Return once this node shows a network block. Raises Behind."""
        with trio.move_on_after(patience):
            while self.shown() < height:
                await self._changed.wait()
        if self.shown() < height:
            raise Behind(
                f"this node shows network block {self.shown()}, and {height} was seen elsewhere"
            )

    async def reach(self, *, patience: float = CATCH_UP) -> None:
        """Return once this node shows whatever any node can have shown when this was called.

        Raises Behind if that takes longer than `patience` seconds, or if too few of the beacon's validators
        answer."""
        started = trio.current_time()
        round_ = self._join()
        round_.waiters += 1
        try:
            while not self._arrived(round_.poll, trio.current_time() - started):
                left = started + patience - trio.current_time()
                if left <= 0:
                    raise Behind(self._why(round_.poll))
                doubt = started + DOUBT - trio.current_time()
                with trio.move_on_after(min(left, doubt) if doubt > 0 else left):
                    await self._changed.wait()
        finally:
            round_.waiters -= 1
            if not round_.waiters:
                round_.scope.cancel()
                if self._next is round_:
                    self._next = None

    async def try_reach(self) -> None:
        """As `reach`, for a caller that has an answer already: less patient, and never raises."""
        with suppress(Behind):
            await self.reach(patience=SECOND_LOOK)

    def _arrived(self, poll: Poll | None, waited: float) -> bool:
        if poll is None or not poll.enough:
            return False
        return self.shown() >= (poll.highest if waited < DOUBT else poll.vouched)

    def _why(self, poll: Poll | None) -> str:
        if poll is None or not poll.enough:
            return "this node cannot tell how far the network is: too few of the beacon's validators answer it"
        return f"this node shows network block {self.shown()}, and the network has reached {poll.vouched}"

    # ------------------------------------------------------------------ inside

    def _join(self) -> _Round:
        """A round that begins after this."""
        own = self._own_poll()
        if own.enough:
            alone = _Round()
            alone.poll = own
            return alone
        if self._next is None:
            self._next = _Round()
            if self._nursery is not None:
                self._nursery.start_soon(self._conduct, self._next)
        return self._next

    def _own_poll(self) -> Poll:
        poll = Poll(self._committee())
        if self._me is not None:
            poll.answer(self._me, self._reached())
        return poll

    async def _conduct(self, round_: _Round) -> None:
        with round_.scope:  # until no caller waits for it any more
            if self._asking:  # on a slow link rounds overlap, but not too many
                await trio.sleep_until(self._began + PACE)
            self._next = None
            self._began = trio.current_time()
            self.rounds += 1
            round_.poll = poll = self._own_poll()
            self._asking += 1
            try:
                async with trio.open_nursery() as nursery:
                    for member in self._committee():
                        if poll.waits_for(member.address):
                            nursery.start_soon(self._hear, poll, member.address)
            finally:
                self._asking -= 1

    async def _hear(self, poll: Poll, member: Address) -> None:
        while True:
            try:
                height = await self._ask(member)
            except (PeerFault, NetworkFault):
                await trio.sleep(RETRY)
                continue
            poll.answer(member, height)
            self.grown()
            return
