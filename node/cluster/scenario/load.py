"""The loads of a scenario: seeded transactions in a thread of their own, and the check of each one's result.

Every transaction gives a sum that no other gives to an address that no other names, in wei or on a token: so
"exactly once" can be read from the state at the end.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from node.cluster.accounts import DevAccount
from node.cluster.client.ask import rpc_url
from node.cluster.client.client import call_each
from node.cluster.client.units import parse_data
from node.cluster.client.wallet import TransactionDraft, send, sign, wait_for_receipt
from node.cluster.errors import InvariantBroken, NetworkFailed, RequestFailed, RpcRefused
from node.cluster.layout import NetworkLayout
from node.cluster.scenario.file import Load
from node.primitives.basics import keccak256
from node.primitives.keys import SigningKey
from node.primitives.placement import home_by_range

IN_FLIGHT = 200
TURN_SECONDS = 0.1
OFFER_AGAIN_SECONDS = 3.0
TIMEOUT = 5.0
TRANSFER_GAS, TOKEN_GAS = 21_000, 120_000
SENDERS = 8
"""Accounts of each shard that send, at most."""

PASSING = (
    "already known",
    "nonce too low",  # it is in a block, whose receipt is not seen yet
    "nonce too high",  # one before it went down with the pool of a killed node
    "unavailable",  # the node has just been started, or its shard stands still
    "does not answer",
    "is full",  # a lane, until what waits is delivered
    "in time",
    "time is up",
)
"""Refusals that a node may give while the network is shaken; the transaction is offered again."""
FROZEN = "frozen"


def _token() -> bytes:
    """Creation code of a token without names: 64 bytes of call data are `to` and `amount`; the amount is taken
    off the slot of the caller and added to the slot of `to`. Modulo 2^256: an account may fall below zero."""
    program = bytes.fromhex(
        "602035"  # amount
        "80335403"  # amount, balance[caller] - amount
        "3355"  # amount
        "5f358054"  # amount, to, balance[to]
        "9091019055"  # balance[to] = balance[to] + amount
        "00"
    )
    head = bytes.fromhex(f"60{len(program):02x}600a5f3960{len(program):02x}5ff3")
    return head + program


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadTransaction:
    """A transaction: `to` has `amount` more on `token` (None: wei) if it succeeds."""

    hash: str
    raw: bytes
    sender: str
    src: int
    dst: int
    to: bytes
    amount: int
    token: str | None


class LoadRun:
    """The loads of one run. `begin` starts the thread; `stop` ends it."""

    def __init__(self, layout: NetworkLayout, loads: Sequence[Load], *, seed: int) -> None:
        self._layout = layout
        self._loads = loads
        self._draw = random.Random(f"load {seed}")
        self._shards = list(layout.genesis.shard_ids())
        self._senders = {
            shard: [a for a in layout.accounts if a.home == shard][:SENDERS]
            for shard in self._shards
        }
        self._nonces: dict[str, int] = defaultdict(int)
        self._tokens: dict[int, str] = {}
        self._frozen: set[int] = set()
        self._drawn = [0] * len(loads)
        self._offered: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.sent: list[LoadTransaction] = []
        self.outstanding: dict[str, LoadTransaction] = {}
        self.receipts: dict[str, bool] = {}
        """Success or failure of each transaction that has a receipt."""
        self.refused: dict[str, str] = {}
        """The reason for each transaction that a frozen shard keeps from ever being included."""
        self.failure: BaseException | None = None

    # ------------------------------------------------------------------ life

    def begin(self) -> None:
        """Deploy what is needed and start to send. Raises NetworkFailed, RequestFailed."""
        if any(load.kind == "token" for load in self._loads):
            for shard in self._shards:
                account = self._senders[shard][0]
                tx = send(self._layout, account, TransactionDraft(to=None, data=_token()))
                receipt = wait_for_receipt(self._layout, tx)
                self._tokens[shard] = receipt["contractAddress"]
                self._nonces[account.address] += 1
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more. Idempotent."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def all_drawn(self) -> bool:
        """True if everything to be sent was sent."""
        return all(n >= load.count for n, load in zip(self._drawn, self._loads, strict=True))

    @property
    def is_done(self) -> bool:
        """True if each has a receipt, or was refused. Raises the error that ended the thread."""
        if self.failure is not None:
            raise self.failure
        return self.all_drawn and not self.outstanding

    def document(self) -> dict[str, int]:
        """{"sent", "receipts", "failed", "refused", "outstanding"}"""
        return {
            "sent": len(self.sent),
            "receipts": len(self.receipts),
            "failed": list(self.receipts.values()).count(False),
            "refused": len(self.refused),
            "outstanding": len(self.outstanding),
        }

    # ------------------------------------------------------------------ exactly once

    def check_once(self) -> int:
        """Check that every recipient has its sum exactly once. Returns the number checked. Raises
        InvariantBroken, RequestFailed.
        """
        endpoint = rpc_url(self._layout.nodes[0])
        known = [item for item in self.sent if item.hash in self.receipts]
        calls = [
            ("eth_getBalance", ["0x" + item.to.hex(), "latest"])
            if item.token is None
            else ("eth_getStorageAt", [item.token, "0x" + item.to.hex().rjust(64, "0"), "latest"])
            for item in known
        ]
        for item, found in zip(known, call_each(endpoint, calls), strict=True):
            if isinstance(found, RpcRefused):
                raise found
            expected = item.amount if self.receipts[item.hash] else 0
            if int(found, 16) != expected:
                raise InvariantBroken(
                    f"{item.hash} gave 0x{item.to.hex()} {int(found, 16)} of "
                    f"{item.token or 'wei'}, not {expected}"
                )
        return len(known)

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        began = time.monotonic()
        try:
            turn = 0
            while not self._stopped.wait(TURN_SECONDS):
                self._draw_due(time.monotonic() - began)
                node = self._layout.nodes[turn % len(self._layout.nodes)]
                turn += 1
                try:
                    self._look(rpc_url(node))
                    self._offer(rpc_url(node))
                except RequestFailed:
                    continue  # it is down, or went down under way; the next one is asked
        except BaseException as failure:  # noqa: BLE001 - raised again by the waiting task
            self.failure = failure

    def _draw_due(self, elapsed: float) -> None:
        for index, load in enumerate(self._loads):
            due = min(load.count, int(load.rate * elapsed) + 1)
            while self._drawn[index] < due and len(self.outstanding) < IN_FLIGHT:
                self._drawn[index] += 1
                item = self._next(load)
                if item is not None:
                    self.sent.append(item)
                    self.outstanding[item.hash] = item

    def _next(self, load: Load) -> LoadTransaction | None:
        """None if all shards are frozen."""
        shards = [shard for shard in self._shards if shard not in self._frozen]
        if not shards:
            return None
        src = self._draw.choice(shards)
        others = [shard for shard in shards if shard != src]
        dst = self._draw.choice(others) if others and self._draw.random() < load.cross else src
        account = self._draw.choice(self._senders[src])
        amount = 1 + self._draw.randrange(10**9)
        if load.kind == "token":
            to, token = self._draw.randbytes(20), self._tokens[dst]
            wanted = TransactionDraft(
                to=parse_data(token),
                data=to.rjust(32, b"\0") + amount.to_bytes(32, "big"),
                gas=TOKEN_GAS,
            )
        else:
            to, token = self._address(dst), None
            wanted = TransactionDraft(to=to, value=amount, gas=TRANSFER_GAS)
        raw = self._sign(account, wanted)
        return LoadTransaction(
            hash="0x" + keccak256(raw).hex(),
            raw=raw,
            sender=account.address,
            src=src,
            dst=dst,
            to=to,
            amount=amount,
            token=token,
        )

    def _address(self, shard: int) -> bytes:
        """A new address, at home on `shard`."""
        while True:
            address = self._draw.randbytes(20)
            if home_by_range(address, len(self._shards)) == shard:
                return address

    def _sign(self, account: DevAccount, wanted: TransactionDraft) -> bytes:
        nonce = self._nonces[account.address]
        self._nonces[account.address] = nonce + 1
        genesis = self._layout.genesis
        return sign(
            SigningKey(parse_data(account.private_key)),
            wanted,
            chain_id=genesis.chain_id,
            nonce=nonce,
            tip=genesis.params.base_fee,
            fee=20 * max(1, genesis.params.base_fee),
            gas=wanted.gas or 0,
        )

    def _look(self, endpoint: str) -> None:
        hashes = list(self.outstanding)
        calls = [("eth_getTransactionReceipt", [h]) for h in hashes]
        for tx, found in zip(hashes, call_each(endpoint, calls, timeout=TIMEOUT), strict=True):
            if isinstance(found, dict):
                self.receipts[tx] = int(found["status"], 16) == 1
                del self.outstanding[tx]

    def _offer(self, endpoint: str) -> None:
        now = time.monotonic()
        due = [
            item
            for item in self.outstanding.values()
            if now - self._offered.get(item.hash, -OFFER_AGAIN_SECONDS) >= OFFER_AGAIN_SECONDS
        ]
        calls = [("eth_sendRawTransaction", ["0x" + item.raw.hex()]) for item in due]
        for item, answer in zip(due, call_each(endpoint, calls, timeout=TIMEOUT), strict=True):
            self._offered[item.hash] = now
            if isinstance(answer, RpcRefused):
                self._refused(item, str(answer))

    def _refused(self, item: LoadTransaction, reason: str) -> None:
        if FROZEN in reason:
            self._frozen.add(item.src if f"shard {item.src}" in reason else item.dst)
            # What this account sent after it has to wait for a nonce that does not come.
            for other in list(self.outstanding.values()):
                if other.sender == item.sender or {other.src, other.dst} & self._frozen:
                    del self.outstanding[other.hash]
                    self.refused[other.hash] = reason
            self._senders[item.src] = [
                a for a in self._senders[item.src] if a.address != item.sender
            ] or self._senders[item.src]
        elif not any(passing in reason for passing in PASSING):
            raise NetworkFailed(f"{item.hash} was refused: {reason}")
