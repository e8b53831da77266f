"""Messages of every kind between the shards of a network, and books of what was sent, kept outside of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

from node.primitives.message import MessageKind
from node.testing import Network
from tests.cluster.support.client import deploy, wait_until_equal
from tests.cluster.support.history import History
from tests.cluster.support.load import Offer, Source

ETHER = 10**18
PRICE = 20 * 10**9
GAS, REPLY_GAS, SPIN_GAS = 300_000, 150_000, 40_000
RELAY_GAS = 450_000
SEND_GAS = 500_000  # of a transaction in which a contract sends
CALL, REPLY, CREDIT = MessageKind.CALL, MessageKind.REPLY, MessageKind.CREDIT
NO_CALLBACK = bytes(4)

Caused = tuple[MessageKind, int, int, bool]
"""(kind, source, destination, whether it was ok) of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(Offer):
    """A transaction and all that it must come to: the `messages` that it causes, what addresses gain (wei,
    without gas), the shards whose books note its `number`, and (shard, ok) of the answers told there."""

    kind: str
    number: int
    messages: tuple[Caused, ...]
    gains: tuple[tuple[str, int], ...]
    notes: tuple[int, ...] = ()
    told: tuple[tuple[int, bool], ...] = ()


def deploy_books(network: Network, compiled: dict[str, Any]) -> dict[int, Contract]:
    """A contract that keeps books (contracts/Books.vy) on each shard, known to all."""
    books = {
        shard: deploy(
            network.web3(node=f"s{shard}v0"),
            network.account(shard, 1).signer,
            compiled,
        )
        for shard in network.shard_ids
    }
    for shard, contract in books.items():
        for node in network.nodes:
            ask = partial(node.request, "atoll_home", contract.address)
            wait_until_equal(ask, hex(shard), f"{node.name} to know where {contract.address} lives")
    return books


class MessageLoad(Source):
    """At most `limit` transactions of `accounts`, each of which sends at least one message to another shard.

    `books` has a contract for each shard. `senders` leaves it to some of the accounts to send. With
    `lanes_may_be_full` a contract's call may revert where it is sent.
    """

    def __init__(
        self,
        network: Network,
        accounts: Sequence[LocalAccount],
        books: dict[int, Contract],
        *,
        seed: int,
        limit: int,
        senders: Sequence[LocalAccount] | None = None,
        lanes_may_be_full: bool = False,
    ) -> None:
        super().__init__(network, accounts, books, seed)
        assert set(self._homes.values()) == set(network.shard_ids), "no account on some shard"
        self._books = books
        self._limit = limit
        self._senders = senders or accounts
        self._lanes_may_be_full = lanes_may_be_full
        self.orders: list[Order] = []

    @property
    def is_spent(self) -> bool:
        return len(self.orders) >= self._limit

    def draw(self, count: int) -> list[Order]:
        """The next transactions, which the caller is to send: `count`, or as many as are left."""
        count = min(count, self._limit - len(self.orders))
        orders = [self._order() for _ in range(count)]
        self.orders += orders
        return orders

    # ------------------------------------------------------------------ kinds

    def _order(self) -> Order:
        sender = self._random.choice(self._senders)
        src = self._homes[sender.address]
        dst = self._random.choice([shard for shard in self._network.shard_ids if shard != src])
        value = self._random.randrange(1, ETHER // 1000)
        kinds = [
            self._transfer, self._transfer, self._note, self._note, self._refuse, self._spin,
            self._pay, self._ask, self._ask, self._ask_in_vain, self._ask_deaf, self._tell,
        ]  # fmt: skip
        if not self._lanes_may_be_full:  # else the second call may or may not find room
            kinds.append(self._relay)
        return self._random.choice(kinds)(sender, src, dst, value)

    def _transfer(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """Wei to an account, sometimes with gas that comes back."""
        there = [address for address, home in self._homes.items() if home == dst]
        to, gas = self._random.choice(there), self._random.choice((21_000, 21_000, 50_000))
        back: tuple[Caused, ...] = ((CREDIT, dst, src, True),) if gas > 21_000 else ()
        return self._sign(
            "transfer", sender, to, value, gas=gas,
            messages=((CALL, src, dst, True), *back),
            gains=((to, value), (sender.address, -value)),
        )  # fmt: skip

    def _note(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A call that is noted."""
        return self._sign(
            "call", sender, self._books[dst].address, value, gas=GAS, function="note", notes=(dst,),
            messages=((CALL, src, dst, True), (CREDIT, dst, src, True)),
            gains=((self._books[dst].address, value), (sender.address, -value)),
        )  # fmt: skip

    def _refuse(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A call that reverts: value and gas come back at once."""
        return self._sign(
            "call that reverts", sender, self._books[dst].address, value, gas=GAS, function="refuse",
            messages=((CALL, src, dst, False), (CREDIT, dst, src, True)), gains=(),
        )  # fmt: skip

    def _spin(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A call that runs out of gas: the value comes back."""
        return self._sign(
            "call out of gas", sender, self._books[dst].address, value, gas=SPIN_GAS, function="spin",
            messages=((CALL, src, dst, False), (CREDIT, dst, src, True)), gains=(),
        )  # fmt: skip

    def _pay(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A contract at home pays accounts that live anywhere."""
        others = [address for address in self._homes if address != sender.address]
        paid = self._random.sample(others, 5)
        if all(self._homes[address] != dst for address in paid):
            paid.append(next(address for address in others if self._homes[address] == dst))
        away = [self._homes[address] for address in paid if self._homes[address] != src]
        books = self._books[src]
        return self._sign(
            "payments", sender, books.address, value * len(paid), gas=SEND_GAS,
            data=books.encode_abi("pay", [paid]),
            messages=tuple((CREDIT, src, home, True) for home in away),
            gains=(*((address, value) for address in paid), (sender.address, -value * len(paid))),
        )  # fmt: skip

    def _ask(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A contract calls, and is told that it went well."""
        return self._send(
            "contract's call", sender, src, dst, value, function="note", notes=(dst,), told=((src, True),),
            messages=((CALL, src, dst, True), (REPLY, dst, src, True), (CREDIT, dst, src, True)),
            gains=((self._books[dst].address, value), (sender.address, -value)),
        )  # fmt: skip

    def _ask_in_vain(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A contract calls, and is told that it failed; it gets the value back."""
        function = self._random.choice(("refuse", "spin"))
        back: tuple[Caused, ...] = ((CREDIT, dst, src, True),) if function == "refuse" else ()
        return self._send(
            "contract's call that fails", sender, src, dst, value, function=function, told=((src, False),),
            messages=((CALL, src, dst, False), (REPLY, dst, src, True), *back),
            gains=((self._books[src].address, value), (sender.address, -value)),
        )  # fmt: skip

    def _ask_deaf(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A contract calls in vain, and its callback reverts: it gets the value back all the same."""
        return self._send(
            "callback that reverts", sender, src, dst, value, function="refuse", callback="deaf",
            messages=((CALL, src, dst, False), (REPLY, dst, src, False), (CREDIT, dst, src, True)),
            gains=((self._books[src].address, value), (sender.address, -value)),
        )  # fmt: skip

    def _tell(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A contract calls and asks for no answer; where the call fails, the value comes back anyway."""
        ok = self._random.random() < 0.5
        home = self._books[dst if ok else src].address
        credits = 1 if ok else 2  # gas to the account that paid, value to the contract that called
        return self._send(
            "contract's call without callback", sender, src, dst, value, callback=None,
            function="note" if ok else "refuse", notes=(dst,) if ok else (),
            messages=((CALL, src, dst, ok), *((CREDIT, dst, src, True),) * credits),
            gains=((home, value), (sender.address, -value)),
        )  # fmt: skip

    def _relay(self, sender: LocalAccount, src: int, dst: int, value: int) -> Order:
        """A contract calls a contract that calls a third one, perhaps where it began."""
        last = self._random.choice([shard for shard in self._network.shard_ids if shard != dst])
        number, here, there = len(self.orders) + 1, self._books[dst], self._books[last]
        onward = here.encode_abi(
            "relay",
            [
                number, there.address, there.encode_abi("note", [number]), GAS, REPLY_GAS,
                selector("told"),
            ],
        )  # fmt: skip
        messages: list[Caused] = [
            (CALL, src, dst, True), (REPLY, dst, src, True), (CREDIT, dst, src, True),
            (CALL, dst, last, True), (REPLY, last, dst, True), (CREDIT, dst, src, True),
        ]  # fmt: skip
        if last != src:
            messages.append((CREDIT, last, src, True))
        return self._send(
            "chain of calls", sender, src, dst, value + (GAS + REPLY_GAS) * PRICE, gas=RELAY_GAS,
            data=onward, notes=(dst, last), told=((src, True), (dst, True)), messages=tuple(messages),
            gains=((there.address, value), (sender.address, -value)),
        )  # fmt: skip

    # ------------------------------------------------------------------ transactions

    def _send(
        self,
        kind: str,
        sender: LocalAccount,
        src: int,
        dst: int,
        value: int,
        *,
        function: str = "",
        data: str | None = None,
        callback: str | None = "told",
        gas: int = GAS,
        **expected: Any,
    ) -> Order:
        """The books of `src` call those of `dst`, with `value`."""
        here, there, number = self._books[src], self._books[dst], len(self.orders) + 1
        wanted = NO_CALLBACK if callback is None else selector(callback)
        inner = there.encode_abi(function, [number]) if data is None else data
        return self._sign(
            kind, sender, here.address, value + (gas + REPLY_GAS) * PRICE, gas=SEND_GAS,
            data=here.encode_abi("ask", [number, there.address, inner, gas, REPLY_GAS, wanted]),
            **expected,
        )  # fmt: skip

    def _sign(
        self,
        kind: str,
        sender: LocalAccount,
        to: str,
        value: int,
        *,
        gas: int,
        function: str | None = None,
        data: str = "0x",
        **expected: Any,
    ) -> Order:
        number = len(self.orders) + 1
        if function is not None:
            data = next(iter(self._books.values())).encode_abi(function, [number])
        signed = self._signed(sender, to=to, value=value, gas=gas, gasPrice=PRICE, data=data)
        return Order(kind=kind, number=number, **signed, **expected)

    # ------------------------------------------------------------------ what came of it

    def check(self, history: History) -> None:
        """What the chains hold is what was ordered, all of it once; balances are exact to the wei."""
        caused: dict[str, Counter[Caused]] = defaultdict(Counter)
        for message in history.messages:
            name = "0x" + message.origin_tx.hex()
            ok = history.outcomes[message.id].ok
            caused[name][message.kind, message.src, message.dst, ok] += 1
        balances = Counter(self._before)
        done = []
        for order in self.orders:
            assert history.included[order.hash] == 1, order
            balances[order.sender] -= history.costs[order.hash]
            if order.hash in history.reverted:
                assert self._lanes_may_be_full, order
                assert not caused[order.hash], order
            else:
                assert caused[order.hash] == Counter(order.messages), order
                for address, wei in order.gains:
                    balances[address] += wei
                done.append(order)
        self._check_books(history, done)
        self._check_balances(balances)

    def _check_books(self, history: History, orders: Sequence[Order]) -> None:
        """The contracts have noted every call once and in the order of its lane, and heard every answer."""
        place = {message.id: message for message in history.messages}
        for shard, contract in self._books.items():
            logs = [
                log for log in history.logs[shard] if log["address"] == contract.address.lower()
            ]
            noted = _events(contract, "Noted", logs)
            seen: dict[int, list[int]] = defaultdict(list)
            for event in noted:
                message = place[event["id"]]
                assert event["place"] == len(seen[message.src]), (shard, event)
                seen[message.src].append(message.seq)
            for sequence in seen.values():
                assert sequence == sorted(set(sequence))
            wanted = [o.number for o in orders for at in o.notes if at == shard]
            assert Counter(e["number"] for e in noted) == Counter(wanted)
            told = Counter((e["number"], e["ok"]) for e in _events(contract, "Told", logs))
            answers = [(o.number, ok) for o in orders for at, ok in o.told if at == shard]
            assert told == Counter(answers)


def selector(name: str) -> bytes:
    """Of a function that is told outcomes."""
    return bytes(Web3.keccak(text=f"{name}(bytes32,bool,bytes)")[:4])


def _events(contract: Contract, name: str, logs: Sequence[dict[str, Any]]) -> list[Any]:
    event = contract.events[name]()
    topic = Web3.to_hex(event.topic) if isinstance(event.topic, bytes) else event.topic
    return [event.process_log(_parsed(log))["args"] for log in logs if log["topics"][0] == topic]


def _parsed(log: dict[str, Any]) -> dict[str, Any]:
    """A log as web3.py wants it."""
    numbers = {key: int(log[key], 16) for key in ("blockNumber", "logIndex", "transactionIndex")}
    return {
        **log,
        **numbers,
        "topics": [Web3.to_bytes(hexstr=t) for t in log["topics"]],
        "data": Web3.to_bytes(hexstr=log["data"]),
        "address": Web3.to_checksum_address(log["address"]),
    }
