"""The load: funded senders at home on every shard, and their signed transactions."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vyper  # type: ignore[import-untyped]
from eth_abi.abi import encode
from load import Signed
from targets import Target

from node.primitives import rlp
from node.primitives.basics import keccak256
from node.primitives.births import contract_address
from node.primitives.keys import SigningKey
from node.primitives.placement import home_by_range

CONTRACTS = Path(__file__).resolve().parents[1] / "examples" / "contracts"
ETHER = 10**18
FEE = 1000 * 10**9  # far above any base fee that full blocks lead to
TIP = 10**9
GAS = {"transfers": 21_000, "ERC-20": 60_000, "swaps": 160_000}
ACROSS_GAS = 100_000  # more, for the part at the destination
GIFT = 20 * ETHER  # for each sender: what a few hundred of its transactions may cost at most
SETTLE_SECONDS = 120.0


@dataclass(slots=True)
class Sender:
    """An account of the load. `shard` is its home."""

    key: SigningKey
    shard: int
    nonce: int = 0

    @property
    def address(self) -> bytes:
        return self.key.address

    def sign(
        self, chain_id: int, to: bytes, *, value: int = 0, data: bytes = b"", gas: int
    ) -> Signed:
        numbers = (chain_id, self.nonce, TIP, FEE, gas)
        self.nonce += 1
        fields: list[rlp.Item] = [
            *(rlp.int_to_bytes(n) for n in numbers), to, rlp.int_to_bytes(value), data, [],
        ]  # fmt: skip
        signature = self.key.sign_digest(keccak256(b"\x02" + rlp.encode(fields)))
        r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
        tail: list[rlp.Item] = [rlp.int_to_bytes(n) for n in (signature[64], r, s)]
        raw = b"\x02" + rlp.encode([*fields, *tail])
        return Signed(raw, "0x" + keccak256(raw).hex())


def make_senders(shards: int, each: int, name: str = "load") -> list[list[Sender]]:
    """By shard; others for another name."""
    rows: list[list[Sender]] = [[] for _ in range(shards)]
    number = 0
    while any(len(row) < each for row in rows):
        key = SigningKey(keccak256(f"atoll {name} {number}".encode()))
        number += 1
        home = home_by_range(key.address, shards)
        if len(rows[home]) < each:
            rows[home].append(Sender(key, home))
    return rows


def compiled(name: str, types: tuple[str, ...] = (), values: tuple[Any, ...] = ()) -> bytes:
    """The creation code of an example contract, with its constructor's arguments."""
    source = (CONTRACTS / f"{name}.vy").read_text()
    code: str = vyper.compile_code(source, output_formats=["bytecode"])["bytecode"]
    return bytes.fromhex(code.removeprefix("0x")) + encode(types, values)


def call(signature: str, *values: Any) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak256(signature.encode())[:4] + encode(types, values)


@dataclass(slots=True)
class Scene:
    """A target with what a workload needs on it: money, tokens, a pair, on every shard."""

    target: Target
    kind: str
    senders: list[list[Sender]]
    across: float = 0.0
    rich: list[Sender] = field(default_factory=list)
    tokens: list[bytes] = field(default_factory=list)
    pairs: list[bytes] = field(default_factory=list)

    def prepare(self) -> None:
        """Raises SystemExit where a transaction fails."""
        self.rich = [Sender(SigningKey(key), shard) for shard, key in enumerate(self.target.rich)]
        self.read_nonces(self.rich)
        self._each(lambda shard, to: (to, b"", GIFT))
        if self.kind == "transfers":
            return
        for shard in range(self.target.shards):
            self.tokens.append(self._deploy(shard, self._token("First")))
        self._give(self.tokens)
        if self.kind == "swaps":
            seconds = [
                self._deploy(shard, self._token("Second")) for shard in range(self.target.shards)
            ]
            self._give(seconds)
            for shard in range(self.target.shards):
                both = (self.tokens[shard], seconds[shard])
                pair = self._deploy(shard, compiled("Pair", ("address", "address"), both))
                self.pairs.append(pair)
                self._fill(shard, both, pair)

    def read_nonces(self, senders: Iterable[Sender]) -> None:
        """As they are on the chain: what was signed before and not sent is void."""
        for sender in senders:
            address = "0x" + sender.address.hex()
            found = self.target.ask(
                "eth_getTransactionCount", address, "latest", shard=sender.shard
            )
            sender.nonce = int(found, 16)

    def work(self, shard: int, part: int, parts: int, count: int) -> Iterator[Signed]:
        """`count` transactions of one connection: of every `parts`-th sender of a shard, in turns."""
        mine = self.senders[shard][part::parts]
        other = (shard + 1) % self.target.shards
        spacing = self.across if self.target.shards > 1 else 0.0
        out = []
        for index in range(count):
            crosses = int((index + 1) * spacing) > int(index * spacing)
            sender = mine[index % len(mine)]
            out.append(self._one(sender, other if crosses else shard, index))
        return iter(out)

    # ------------------------------------------------------------------ inside

    def _one(self, sender: Sender, shard: int, index: int) -> Signed:
        chain = self.target.chain_id
        peers = self.senders[shard]
        to = peers[(index * 7 + 3) % len(peers)].address
        gas = GAS[self.kind] + (
            ACROSS_GAS if shard != sender.shard and self.kind != "transfers" else 0
        )
        match self.kind:
            case "transfers":
                return sender.sign(chain, to, value=1, gas=gas)
            case "ERC-20":
                data = call("transfer(address,uint256)", to, 5)
                return sender.sign(chain, self.tokens[shard], data=data, gas=gas)
            case _:
                data = call("swap(bool,uint256,uint256)", index % 2 == 0, 10**9, 1)
                return sender.sign(chain, self.pairs[shard], data=data, gas=gas)

    def _token(self, name: str) -> bytes:
        return compiled("Token", ("string", "string", "uint256"), (name, name[:3], 10**40))

    def _deploy(self, shard: int, code: bytes) -> bytes:
        rich = self.rich[shard]
        address = contract_address(rich.address, rich.nonce)
        self._send(shard, [rich.sign(self.target.chain_id, b"", data=code, gas=3_000_000)])
        return address

    def _each(self, make: Any) -> None:
        for shard, row in enumerate(self.senders):
            signed = []
            for sender in row:
                to, data, value = make(shard, sender.address)
                gas = 100_000 if data else 21_000
                signed.append(
                    self.rich[shard].sign(self.target.chain_id, to, value=value, data=data, gas=gas)
                )
            self._send(shard, signed)

    def _give(self, tokens: list[bytes]) -> None:
        """Tokens for the senders of the shard, and for those that come from the shard before."""
        gift = "transfer(address,uint256)"
        self._each(lambda shard, to: (tokens[shard], call(gift, to, 10**30), 0))
        if self.across and self.target.shards > 1:
            for shard in range(self.target.shards):
                visitors = self.senders[shard - 1]
                self._send(shard, [
                    self.rich[shard].sign(
                        self.target.chain_id, tokens[shard], data=call(gift, v.address, 10**30), gas=100_000
                    )
                    for v in visitors
                ])  # fmt: skip

    def _fill(self, shard: int, coins: tuple[bytes, bytes], pair: bytes) -> None:
        chain, rich = self.target.chain_id, self.rich[shard]
        approve = call("approve(address,uint256)", pair, 10**39)
        visitors = self.senders[shard - 1] if self.across and self.target.shards > 1 else []
        signed: dict[int, list[Signed]] = {}
        for owner in (rich, *self.senders[shard], *visitors):
            # A visitor's approval departs from its own shard.
            gas = 100_000 + (ACROSS_GAS if owner.shard != shard else 0)
            for coin in coins:
                tx = owner.sign(chain, coin, data=approve, gas=gas)
                signed.setdefault(owner.shard, []).append(tx)
        for home, batch in signed.items():
            self._send(home, batch)
        data = call("add_liquidity(uint256,uint256)", 10**35, 10**35)
        self._send(shard, [rich.sign(chain, pair, data=data, gas=500_000)])

    def _send(self, shard: int, signed: list[Signed]) -> None:
        """Send them and wait until all have run."""
        for tx in signed:
            self.target.ask("eth_sendRawTransaction", "0x" + tx.raw.hex(), shard=shard)
        for tx in signed:
            self._wait(shard, tx.hash)

    def _wait(self, shard: int, name: str) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            receipt = self.target.ask("eth_getTransactionReceipt", name, shard=shard)
            if receipt is not None:
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.target.name}: {name} has no receipt")
            time.sleep(0.02)
        if receipt["status"] != "0x1":
            raise SystemExit(f"{self.target.name}: {name} failed")
