"""A shard whose whole committee lies, in one voice: its blocks are decided, and they are not valid.

Its nodes run the engine, sync and lanes like others. What they execute is not what the rules say: see
:class:`Lie`. The lies of a block follow from its parent, so that all of the committee agree on them.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from node.execution.state.system_contracts import SYSTEM_ADDRESS
from node.primitives.basics import Address, Hash32, ShardId, keccak256
from node.primitives.births import Birth
from node.primitives.header import Header
from node.primitives.message import MAX_DEPTH, Message, MessageKind
from node.primitives.messenger import MESSENGER
from node.primitives.placement import home_by_range
from node.primitives.requests import Counters, ShardRequests
from node.shard import messenger
from node.shard.block_frame import BlockEnv
from node.shard.chain import ShardChain
from node.shard.run import BlockRun, ExecutedBlock, no_clock

RICH = 10**20
"""Wei, as much as a user has in these networks."""


class Lie(Enum):
    """What a corrupt committee does."""

    MINTS = "gives wei to its accounts that nobody issued"
    SPEAKS_FOR_OTHERS = (
        "sends messages in the names of accounts of others, with wei that it has not"
    )
    CLAIMS_BIRTHS = "tells the beacon of contracts that others made, or nobody"
    FLOODS = "has others put on the lanes between them what nobody there has asked for"
    FALSE_BOOKS = "tells the beacon other counts, heads, gas, wei and counters than it has"
    FALSE_ROOTS = "commits to transactions, receipts and gas that are not those of the block"
    SWALLOWS = "takes messages and does nothing with them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Whom a corrupt shard names: users of all shards, all accounts, and contracts that are or will be."""

    users: Sequence[Address]
    accounts: Sequence[Address]
    contracts: Sequence[Address]


class CorruptChain(ShardChain):
    """The chain of a corrupt shard, at one of its nodes. It lies in blocks before `until` (seconds)."""

    lies: frozenset[Lie] = frozenset()
    targets = Targets(users=(), accounts=(), contracts=())
    until = 0

    def _run(
        self,
        env: BlockEnv,
        parent: Header | None = None,
        clock: Callable[[], float] = no_clock,
    ) -> BlockRun:
        parent = parent or self._head
        run = CorruptRun(
            rules=self.rules,
            evm=self.evm,
            state=self._states.open(parent.state_root),
            parent=parent,
            env=env,
            block_hash=self.hash_of,
            clock=clock,
        )
        run.begin(self.lies if env.timestamp < self.until else frozenset(), self.targets)
        return run


class CorruptRun(BlockRun):
    """The execution of one block by those who lie."""

    def begin(self, lies: frozenset[Lie], targets: Targets) -> None:
        """Draw what this block lies about. Most blocks are honest in each respect."""
        self.dice = random.Random(self.parent.hash + b"lies")
        self.lies = frozenset(lie for lie in Lie if self.dice.random() < 0.4 and lie in lies)
        self.targets = targets

    def run_arrival(self, message: Message) -> None:
        """Deliver it, or swallow it."""
        if Lie.SWALLOWS not in self.lies or message.hash[0] % 2:
            super().run_arrival(message)
            return
        honest = self.state.snapshot()
        super().run_arrival(message)
        del self.sent[len(self.sent) :]
        position = messenger.inbox(self.state, message.src)
        if any(sent.index == len(self.items) - 1 for sent in self.sent):
            return  # it was sent on, or answered: the lane has it
        self.state.revert(honest)
        messenger.set_inbox(self.state, message.src, position)

    def finish(self) -> ExecutedBlock:
        """The block, with lies in its state, on its lanes, in its requests and in its header."""
        if Lie.MINTS in self.lies:
            self.state.begin_transaction()
            self.state.add_balance(self._own(), self.dice.choice((1, 10**9, RICH, 2**127)))
        if Lie.SPEAKS_FOR_OTHERS in self.lies:
            for _ in range(self.dice.choice((1, 2, 5))):
                self._speak()
        if Lie.FLOODS in self.lies:
            self._flood()
        made = super().finish()
        requests = made.requests
        if Lie.CLAIMS_BIRTHS in self.lies:
            requests = replace(requests, births=self._births(requests.births))
        if Lie.FALSE_BOOKS in self.lies:
            requests = self._books(requests)
        header = replace(made.header, requests_hash=requests.hash)
        if Lie.FALSE_ROOTS in self.lies:
            header = self._roots(header)
        return replace(made, requests=requests, block=replace(made.block, header=header))

    # ------------------------------------------------------------------ inside

    def _own(self) -> Address:
        return next(a for a in self.targets.accounts if self.is_home(a))

    def _user(self) -> Address:
        return self.dice.choice(self.targets.users)

    def _anybody(self) -> Address:
        if self.dice.random() < 0.5:
            return self.dice.choice(self.targets.contracts)
        return self.dice.choice(self.targets.accounts)

    def _speak(self) -> None:
        """A message that no rule allows, or one that pays with wei which there are not."""
        dice = self.dice
        others = [ShardId(s) for s in range(self.rules.shards) if s != self.rules.shard]
        limit = self.rules.params.message_gas_limit
        gas = dice.choice((0, 60_000, limit, limit + 1))
        price = dice.choice((0, 7, 10**9, 10**11))
        message = Message(
            src=self.rules.shard,
            dst=dice.choice(others),
            seq=0,
            kind=dice.choice(list(MessageKind)),
            sender=dice.choice((self._own(), self._anybody(), MESSENGER, SYSTEM_ADDRESS)),
            to=self._anybody(),
            value=dice.choice((0, 1, 10**9, RICH, 2**191, 2**192)),
            gas=gas,
            gas_price=price,
            refund_to=dice.choice((self._own(), self._anybody())),
            data=dice.choice((b"", dice.randbytes(64))),
            reply_gas=dice.choice((0, gas)),
            callback=dice.choice((b"", b"\1\2\3\4")),
            in_reply_to=dice.choice((b"", dice.randbytes(32))),
            origin_tx=Hash32(dice.randbytes(32)),
            depth=dice.choice((0, 0, 0, 1, MAX_DEPTH)),
        )
        if dice.random() < 0.5:  # one that it could pay for: what it says may be worth more
            message = replace(
                message, value=dice.choice((0, 1, 1000)), gas_price=dice.choice((0, 7))
            )
        self.send(message, [])
        if dice.random() < 0.7:  # the beacon is not told of the wei: the lane's end says so
            position = messenger.outbox(self.state, message.dst)
            honest = replace(position, wei=position.wei - message.in_flight_wei)
            messenger.set_outbox(self.state, message.dst, honest)

    def _flood(self) -> None:
        """Many messages to one shard, which it has to send on, or answer, to another: all that they may carry,
        for nothing, or for little."""
        dice, shards, here = self.dice, self.rules.shards, self.rules.shard
        if shards < 3:
            return
        dst, third = dice.sample([ShardId(s) for s in range(shards) if s != here], 2)
        anchor, most = self.env.anchor.state, self.rules.message_gas
        victims = [user for user in self.targets.users if anchor.home(user) == third]
        born = [
            contract
            for contract in self.targets.contracts
            if home_by_range(contract, shards) == here and anchor.directory_entry(contract) == dst
        ]
        for _ in range(dice.choice((5, 20))):
            victim = dice.choice(victims)
            message = Message(
                src=here,
                dst=dst,
                seq=0,
                kind=dice.choice((MessageKind.CALL, MessageKind.REPLY, MessageKind.CREDIT)),
                sender=self._own(),
                to=victim,
                value=1,
                gas=most,
                gas_price=dice.choice((0, 7)),
                refund_to=victim,
                reply_gas=most,
                callback=b"\1\2\3\4",
                origin_tx=Hash32(bytes(32)),
            )
            if born and dice.random() < 0.5:
                message = replace(
                    message, kind=MessageKind.CALL, sender=victim, to=dice.choice(born), gas=30_000,
                    in_reply_to=bytes(32), depth=1,
                )  # fmt: skip
            self.send(message, [])

    def _births(self, births: tuple[Birth, ...]) -> tuple[Birth, ...]:
        dice = self.dice
        false = [
            Birth(creator=self._user(), nonce=dice.randrange(5), kept=dice.random() < 0.8),
            Birth(creator=self._user(), nonce=dice.randrange(5)),
            Birth(
                creator=self._anybody(),
                salt=dice.randrange(3).to_bytes(32, "big"),
                init_hash=keccak256(dice.randbytes(4)),
            ),
        ]
        return (*births[: dice.choice((0, len(births)))], *dice.sample(false, dice.choice((1, 2))))

    def _books(self, requests: ShardRequests) -> ShardRequests:
        dice = self.dice

        def other(number: int) -> int:
            return max(0, number + dice.choice((-RICH, -1, 1, 5, RICH)))

        outbox = [
            dice.choice(
                (
                    move,
                    replace(move, count=other(move.count) % 2**64),
                    replace(move, head=Hash32(dice.randbytes(32))),
                    replace(move, gas=other(move.gas)),
                    replace(move, wei=other(move.wei)),
                    replace(move, asked=other(move.asked) % 2**64),
                )
            )
            for move in requests.outbox
        ]
        inbox = [
            dice.choice(
                (
                    move,
                    replace(move, count=other(move.count) % 2**64),
                    replace(move, gas=other(move.gas)),
                    replace(move, wei=other(move.wei)),
                    replace(move, asked=other(move.asked) % 2**64),
                )
            )
            for move in requests.inbox
        ]
        counters = dice.choice(
            (
                requests.counters,
                None,
                Counters(issued=dice.choice((0, RICH, -RICH)), burned=dice.choice((0, 1, RICH))),
            )
        )
        return replace(requests, outbox=tuple(outbox), inbox=tuple(inbox), counters=counters)

    def _roots(self, header: Header) -> Header:
        false = Hash32(self.dice.randbytes(32))
        return self.dice.choice(
            (
                replace(header, transactions_root=false),
                replace(header, receipts_root=false),
                replace(header, gas_used=self.dice.randrange(header.gas_limit)),
                replace(header, logs_bloom=self.dice.randbytes(256)),
            )
        )
