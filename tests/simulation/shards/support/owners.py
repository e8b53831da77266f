"""A ledger of who owns what on every shard, kept apart from the product, by docs/protocol.md section 4.

It replays each block from its items, receipts and messages: what a transaction costs and whom it pays, what
departs, what a message brings, who is refunded, answered and swept. Only what happens inside of an execution
(gas used, success, payments between contracts) is heard from the EVM, which other tests hold against other
EVMs. After each block every balance has to be the ledger's. So wei that is neither lost nor made, but
somebody else's now, is found.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from node.beacon.state import BeaconState
from node.primitives.basics import Address, ShardId
from node.primitives.dev_operation import DevKind, DevOperation
from node.primitives.genesis import Genesis
from node.primitives.message import Message, MessageKind
from node.primitives.messenger import MESSENGER, is_everywhere
from node.primitives.placement import home_by_range
from node.primitives.transaction import ImpersonatedTransaction, Transaction
from node.shard import messenger
from node.shard.block import BeaconOps
from node.shard.chain import ShardChain
from node.shard.ports import Anchor
from node.shard.run import ExecutedBlock
from tests.simulation.shards.support.books import is_onward
from tests.simulation.shards.support.moves import Created, Ended, Executed, Paid, executions_of

SYSTEM = Address(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))
"""The caller of the system calls of EIP-4788 and EIP-2935: a word that nobody has."""
TOO_MUCH = 2**192
"""Wei that do not exist: a message that brings as many has no effect."""


class Owners:
    """The ledger of a network, from its genesis on; one :class:`ShardLedger` for each shard."""

    def __init__(self, genesis: Genesis) -> None:
        self.ledgers = {}
        for shard in map(ShardId, range(genesis.shards)):
            alloc = {
                address: wei
                for address, wei in genesis.balances().items()
                if home_by_range(address, genesis.shards) == shard
            }
            self.ledgers[shard] = ShardLedger(shard, alloc)

    def note(self, chain: ShardChain, executed: ExecutedBlock, anchor: Anchor) -> None:
        """A block, once, in the order of heights; `chain` holds the state after it.

        Raises AssertionError where a balance, a nonce or a message is another than the ledger's.
        """
        run = chain.run_again(executed.header, anchor)
        ledger = self.ledgers[chain.shard]
        ledger.apply(executed, executions_of(run, executed.block.items), anchor.state)
        ledger.compare(chain, executed, anchor.state)


class ShardLedger:
    """What the accounts of one shard own. `nonces` are of those who have sent transactions, `born` the
    contracts that were created here, which live here before the beacon knows it. `stats` counts what happened.
    """

    def __init__(self, shard: ShardId, alloc: dict[Address, int]) -> None:
        self.shard = shard
        self.balances: defaultdict[Address, int] = defaultdict(int, alloc)
        self.nonces: dict[Address, int] = {}
        self.born: set[Address] = set()
        self.stats: Counter[str] = Counter()
        self.burned = 0
        self.touched: set[Address] = set()
        self.received: Counter[int] = Counter()  # wei, by source

    # ------------------------------------------------------------------ a block

    def apply(
        self, executed: ExecutedBlock, executions: list[list[Executed]], beacon: BeaconState
    ) -> None:
        """Replay a block; `beacon` is the state at its anchor, which tells the base fee of each shard."""
        floors = [beacon.base_fee(ShardId(shard)) for shard in range(beacon.shards)]
        self.touched = {executed.header.coinbase}
        before = 0
        for index, item in enumerate(executed.bodies):
            receipt = executed.receipts[index]
            gas_used = receipt.cumulative_gas_used - before
            before = receipt.cumulative_gas_used
            sent = [s.message for s in executed.sent if s.index == index]
            block = _Item(self, executed, index, executions[index], sent, gas_used, floors)
            match item:
                case Message():
                    block.arrival(item, beacon)
                case BeaconOps():
                    for address, home in item.moved:
                        self.touched.add(address)
                        self.nonces.pop(address, None)
                        if home != self.shard:  # another shard made it first
                            self.stats["made twice"] += address in self.born
                            self.born.discard(address)
                case DevOperation():
                    if receipt.status:
                        self._development(item)
                case _:
                    block.transaction(item)
            for message in sent:
                if message.kind is MessageKind.CREDIT and message not in block.explained:
                    block.swept(message)
                    block.explained.append(message)
            assert len(block.explained) == len(sent), f"{block.name}: it sent what nobody asked for"

    def _development(self, operation: DevOperation) -> None:
        match operation.kind:
            case DevKind.SET_BALANCE:
                self.pay(operation.to, operation.number - self.balances[operation.to])
            case DevKind.ADD_BALANCE:
                self.pay(operation.to, operation.number)
            case DevKind.SET_NONCE:
                self.nonces[operation.to] = operation.number

    def pay(self, account: Address, wei: int) -> None:
        """Give (or take, below zero) wei."""
        self.balances[account] += wei
        self.touched.add(account)

    def move(self, execution: Executed) -> dict[Address, None]:
        """What contracts paid; the contracts that are gone at its end, with what they have then."""
        created: set[Address] = set()
        ended: dict[Address, None] = {}
        for creator in execution.creators:  # nonces of contracts are the EVM's
            self.nonces.pop(creator, None)
        for move in execution.moves:
            match move:
                case Paid(source=source, to=to, wei=wei):
                    self.pay(source, -wei)
                    self.pay(to, wei)
                case Created(address=address):
                    created.add(address)
                    self.nonces.pop(address, None)  # an operation may have set it to 0 before
                case Ended(address=address, heir=heir):
                    wei = self.balances[address]
                    if heir != address:
                        self.pay(address, -wei)
                        self.pay(heir, wei)
                    elif address in created:
                        self.burn(address)
                    if address in created:
                        ended[address] = None
        self.born |= created - ended.keys()
        return ended

    def burn(self, account: Address) -> None:
        """All that an account has is gone."""
        self.burned += self.balances[account]
        self.pay(account, -self.balances[account])

    # ------------------------------------------------------------------ against the chain

    def compare(self, chain: ShardChain, executed: ExecutedBlock, beacon: BeaconState) -> None:
        """Every account that the block was about, the burned wei, and where what is left lives."""
        state = chain.state(executed.header)
        where = f"block {executed.header.number} of shard {self.shard}"
        for address in sorted(self.touched):
            owed, found = self.balances[address], state.balance(address)
            name = f"0x{address.hex()}"
            assert found == owed, f"owner: {where}: {name} has {found - owed} wei too many"
            if address in self.born:
                assert state.has_code_or_nonce(address), f"owner: {where}: {name} was born here"
            if found:
                assert is_everywhere(address) or self.home(address, beacon) == self.shard, (
                    f"owner: {where}: {name} is not at home, and {found} wei were not swept"
                )
        assert messenger.burned(state) == self.burned, f"owner: {where}: burned"
        for address, nonce in self.nonces.items():
            found = state.nonce(address)
            assert found == nonce, f"owner: {where}: nonce {found} instead of {nonce}"

    def home(self, address: Address, beacon: BeaconState) -> ShardId:
        """Where an account lives: here from its birth on, else where the beacon has it."""
        if address in self.born:
            return self.shard
        entry = beacon.directory_entry(address)
        return home_by_range(address, beacon.shards) if entry is None else entry

    def speaks(self, message: Message, beacon: BeaconState) -> bool:
        """Whether a message is of an account of the shard that it comes from, or was sent on from the range of
        a contract that was born here. Pure value is of nobody."""
        if message.kind not in (MessageKind.CALL, MessageKind.REPLY):
            return True
        sender, src = message.sender, message.src
        if is_everywhere(sender) or sender == SYSTEM:
            self.stats["spoke as the system"] += (sender, src) == (SYSTEM, beacon.home(SYSTEM))
            return False
        if not message.depth:
            self.stats["spoke for one just born"] += (
                sender in self.born and beacon.home(sender) == src
            )
            return self.home(sender, beacon) == src
        by_range = home_by_range(message.to, beacon.shards)
        return (by_range, beacon.directory_entry(message.to)) == (src, self.shard)


class _Item:
    """One item of a block, and the messages that it has to explain."""

    def __init__(
        self,
        ledger: ShardLedger,
        executed: ExecutedBlock,
        index: int,
        executions: list[Executed],
        sent: list[Message],
        gas_used: int,
        floors: list[int],
    ) -> None:
        self.ledger = ledger
        self.floors = floors
        self.receipt = executed.receipts[index]
        self.coinbase = executed.header.coinbase
        self.base_fee = executed.header.base_fee_per_gas
        self.executions = executions
        self.sent = sent
        self.gas_used = gas_used
        self.explained: list[Message] = []
        self.name = f"owner: item {index} of block {executed.header.number} of {ledger.shard}"

    # ------------------------------------------------------------------ transactions

    def transaction(self, tx: Transaction) -> None:
        """One of a user: it runs here or departs."""
        ledger, used = self.ledger, self.gas_used
        base_fee = self.base_fee
        if not self.executions:  # it departs: to where gas may cost more
            base_fee = max(base_fee, *(self.floors[m.dst] for m in self.sent))
        price = min(tx.max_fee_per_gas, base_fee + tx.max_priority_fee_per_gas)
        assert price >= base_fee, f"{self.name}: it pays less than the base fee"
        if tx.sender in ledger.nonces:
            assert ledger.nonces[tx.sender] == tx.nonce, f"{self.name}: nonce"
        ledger.nonces[tx.sender] = tx.nonce + 1
        ledger.pay(tx.sender, -tx.gas * price)
        if self.executions:
            (ran,) = self.executions
            assert (ran.success, ran.gas_used) == (bool(self.receipt.status), used)
            self.was_paid(ran, tx.sender, tx.to, tx.value)
            ended = ledger.move(ran)
            ledger.pay(tx.sender, (tx.gas - used) * price)
            self.fees(used, price)
            for address in ended:
                ledger.burn(address)
            for item in tx.authorizations:  # which are valid is the EVM's to say
                ledger.nonces.pop(item.authority() or tx.sender, None)
            if isinstance(tx, ImpersonatedTransaction):
                ledger.nonces.pop(tx.sender, None)
            self.contracts_sent()
        else:
            self.departed(tx, price)

    def departed(self, tx: Transaction, price: int) -> None:
        """The gas of the source is spent, all else is in one message."""
        (call,) = [m for m in self.sent if m.kind is MessageKind.CALL]
        tokens = sum(4 if byte else 1 for byte in tx.data)
        assert tx.access_list or self.gas_used == 21_000 + 10 * tokens, f"{self.name}: gas"
        expected = (
            tx.sender, tx.to, tx.value, tx.gas - self.gas_used, price, tx.sender, tx.data, 0, b"", 0,
        )  # fmt: skip
        assert _told(call) == expected, f"{self.name}: the message is not what was asked for"
        assert self.receipt.status, f"{self.name}: a departure does not fail"
        self.ledger.pay(tx.sender, -tx.value)
        self.fees(self.gas_used, price)
        self.explained.append(call)

    def fees(self, used: int, price: int) -> None:
        """Of gas used the base fee is burned, the rest is the proposer's. A message may pay less."""
        burned = used * min(self.base_fee, price)
        self.ledger.burned += burned
        self.ledger.pay(self.coinbase, used * price - burned)

    # ------------------------------------------------------------------ arrivals

    def arrival(self, message: Message, beacon: BeaconState) -> None:
        """A message from another shard: what it brings is somebody's afterwards, or goes on."""
        ledger, src = self.ledger, message.src
        checkpoints = beacon.lane(src, ledger.shard).checkpoints
        told = min((c.count, c.wei) for c in checkpoints if c.count > message.seq)[1]
        wei = message.in_flight_wei
        if wei >= TOO_MUCH or ledger.received[src] + wei > told:
            assert (self.receipt.status, self.sent) == (0, []), f"{self.name}: wei from nowhere"
            assert not self.executions, f"{self.name}: it ran on wei from nowhere"
            return
        ledger.received[src] += wei
        if not ledger.speaks(message, beacon):
            self.refused(message)
            return
        onward = [m for m in self.sent if is_onward(message, m)]
        if onward and not self.executions and self.receipt.status:
            assert onward[0].in_flight_wei == message.in_flight_wei, f"{self.name}: sent on"
            assert onward[0].refund_to == message.refund_to, f"{self.name}: refund sent on"
            self.explained.append(onward[0])
            return
        used = sum(execution.gas_used for execution in self.executions)
        assert used == self.gas_used, f"{self.name}: gas"
        match message.kind:
            case MessageKind.CALL:
                self.call(message)
            case MessageKind.REPLY:
                price, refund_to = message.gas_price, message.refund_to
                self.call_back(
                    message.to, message.value, message.all_gas, price, refund_to, self.executions
                )
                self.contracts_sent()
            case _:
                ledger.pay(message.to, message.in_flight_wei)

    def refused(self, message: Message) -> None:
        """Who sends it lives elsewhere than where it comes from: nothing runs, its wei go to who paid."""
        assert not self.receipt.status, f"{self.name}: somebody spoke for another"
        assert not self.executions, f"{self.name}: a message of nobody ran"
        is_reply = message.kind is MessageKind.REPLY
        self.ledger.pay(message.to if is_reply else message.refund_to, message.value)
        self.ledger.pay(message.refund_to, message.all_gas * message.gas_price)

    def call(self, message: Message) -> None:
        """Its value moves if it succeeds; gas is paid for, and the rest returned; its sender may be told."""
        ledger, price = self.ledger, message.gas_price
        runs = list(self.executions)
        ran = None
        if runs and (runs[0].sender, runs[0].to) == (message.sender, message.to):
            ran = runs.pop(0)
        success = ran is not None and ran.success
        assert bool(self.receipt.status) == success, f"{self.name}: status"
        used = 0
        if ran is not None:
            used = ran.gas_used
            assert used <= message.gas, f"{self.name}: more gas than was sent"
            ledger.pay(message.sender, message.value)
            self.was_paid(ran, message.sender, message.to, message.value)
            for address in ledger.move(ran):
                ledger.burn(address)
            if not success:
                ledger.pay(message.sender, -message.value)
        told = message.reply_gas if message.callback else 0
        self.fees(used, price)
        ledger.pay(message.refund_to, (message.gas + message.reply_gas - told - used) * price)
        back = 0 if success else message.value
        if not message.callback:
            ledger.pay(message.sender, back)
            assert not runs, f"{self.name}: something else ran"
        else:
            self.answer(message, back, runs)
        self.contracts_sent()

    def answer(self, message: Message, back: int, runs: list[Executed]) -> None:
        """A REPLY to another shard, or at once if the sender lives here."""
        replies = [m for m in self.sent if m.in_reply_to == message.first_id]
        replies = [m for m in replies if m.kind is MessageKind.REPLY]
        if replies:
            (reply,) = replies
            assert (
                reply.sender, reply.to, reply.value, reply.gas, reply.gas_price, reply.refund_to,
            ) == (
                message.to, message.sender, back, message.reply_gas, message.gas_price,
                message.refund_to,
            ), f"{self.name}: the reply is not what was promised"  # fmt: skip
            self.explained.append(reply)
            return
        price, refund_to = message.gas_price, message.refund_to
        self.call_back(message.sender, back, message.reply_gas, price, refund_to, runs)

    def call_back(
        self,
        to: Address,
        value: int,
        gas: int,
        price: int,
        refund_to: Address,
        runs: list[Executed],
    ) -> None:
        """Its value, which nothing undoes, then its call, without value, from MESSENGER."""
        assert len(runs) <= 1, f"{self.name}: something else ran"
        self.ledger.pay(to, value)
        used = 0
        for ran in runs:
            used = ran.gas_used
            assert used <= gas, f"{self.name}: more gas than was sent"
            assert (ran.sender, ran.to, ran.value) == (MESSENGER, to, 0), f"{self.name}: callback"
            for address in self.ledger.move(ran):
                self.ledger.burn(address)
        self.fees(used, price)
        self.ledger.pay(refund_to, (gas - used) * price)

    # ------------------------------------------------------------------ what is sent besides

    def was_paid(self, ran: Executed, sender: Address, to: Address | None, value: int) -> None:
        """What ran is what was asked for, and its first payment is the value, if it did not fail."""
        assert (ran.sender, ran.value) == (sender, value), f"{self.name}: somebody else ran"
        assert to is None or ran.to == to, f"{self.name}: somebody else was called"
        paid = [m for m in ran.moves if isinstance(m, Paid)]
        if not ran.success:
            assert not ran.moves, f"{self.name}: a failure moved something"
        elif value:
            assert paid[0] == Paid(sender, ran.to, value), f"{self.name}: the value"

    def contracts_sent(self) -> None:
        """CALLs that contracts sent: MESSENGER was given what they take along."""
        for message in self.sent:
            if message.kind is MessageKind.CALL and message not in self.explained:
                payers = set(_payers(self.executions))
                assert message.sender in payers or not message.in_flight_wei, (
                    f"{self.name}: somebody else has paid for a message"
                )
                self.ledger.pay(MESSENGER, -message.in_flight_wei)
                self.explained.append(message)

    def swept(self, credit: Message) -> None:
        """Everything that an account has here which does not live here."""
        account = credit.to
        assert (credit.sender, credit.refund_to, credit.data) == (account, account, b"")
        assert (credit.gas, credit.reply_gas) == (0, 0), f"{self.name}: a credit has no gas"
        assert credit.value == self.ledger.balances[account], (
            f"{self.name}: the sweep took other wei"
        )
        self.ledger.pay(account, -credit.value)


def _told(call: Message) -> tuple[object, ...]:
    return (
        call.sender, call.to, call.value, call.gas, call.gas_price, call.refund_to, call.data,
        call.reply_gas, call.callback, call.depth,
    )  # fmt: skip


def _payers(executions: Iterable[Executed]) -> Iterable[Address]:
    """Who paid MESSENGER: a `send` brings the wei of its message."""
    for execution in executions:
        for move in execution.moves:
            if isinstance(move, Paid) and move.to == MESSENGER:
                yield move.source
