"""A client that sends signed transactions over a few HTTP connections and reads every receipt.

One thread and `selectors`, so that it takes as little as possible of the cores that the node under test
needs. Each connection has one request under way at a time, as a user's client has. A connection sends its
transactions in order; after each new block it asks for the receipts of what it has sent, oldest first,
until one is not there yet. At most `window` transactions are sent and without a receipt.
"""

import json
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PATIENCE = 60.0  # seconds without any receipt, after which the run fails
BLOCK_POLL = 0.05  # seconds between questions for the newest block
ASK_AGAIN = 0.5
"""Seconds after which a receipt is asked for again without a new block: a server that mines with each
transaction may tell the number of a block before it has its receipts."""
BUSY_RETRY = 0.02  # seconds until a transaction that found no room is sent again
FULL = ("txpool is full", "is full", "underpriced", "exceed", "limit", "busy")


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction as it is sent, and its hash."""

    raw: bytes
    hash: str


@dataclass(slots=True)
class Sent:
    """A transaction and when its client began to send it."""

    tx: Signed
    at: float


@dataclass(slots=True)
class Outcome:
    """The outcome of a run. Times are those of `time.perf_counter`."""

    begin: float
    end: float = 0.0
    latencies: list[float] = field(default_factory=list)
    seen_at: list[float] = field(default_factory=list)
    refused: int = 0
    refusals: dict[str, int] = field(default_factory=dict)

    @property
    def confirmed(self) -> int:
        return len(self.latencies)

    def rate(self, skip: float = 0.0, last: float | None = None) -> float:
        """Receipts per second between `skip` seconds after the begin and the moment the last was sent."""
        start, stop = self.begin + skip, self.end if last is None else last
        inside = [at for at in self.seen_at if start <= at <= stop]
        return len(inside) / (stop - start) if stop > start else 0.0


class Connection:
    """One keep-alive HTTP/1.1 connection with one request under way."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            "Content-Length: "
        ).encode()
        self._buffer = bytearray()

    def send(self, body: bytes) -> None:
        self.socket.sendall(self._head + b"%d\r\n\r\n" % len(body) + body)

    def receive(self) -> bytes | None:
        """The body of the answer, if it is all there now. Raises ConnectionError."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        fields = head.lower()
        if b"transfer-encoding: chunked" in fields:
            body = _unchunked(bytes(rest))
        else:
            start = fields.index(b"content-length:") + 15
            length = int(fields[start:].split(b"\r\n", 1)[0])
            body = bytes(rest) if len(rest) >= length else None
        if body is not None:
            self._buffer.clear()
        return body


def _unchunked(data: bytes) -> bytes | None:
    out = b""
    while True:
        size, separator, rest = data.partition(b"\r\n")
        if not separator:
            return None
        length = int(size, 16)
        if len(rest) < length + 2:
            return None
        if length == 0:
            return out
        out, data = out + rest[:length], rest[length + 2 :]


class _Worker:
    """A connection with the transactions it has to send and the receipts it waits for."""

    def __init__(self, connection: Connection, work: Iterator[Signed]) -> None:
        self.connection = connection
        self.work = work
        self.next: Signed | None = next(work, None)
        self.waiting: deque[Sent] = deque()
        self.asked_at = -1  # the block after which there was nothing new
        self.ask_again = 0.0  # when to ask even so
        self.idle_until = 0.0
        self.under_way: Signed | Sent | None = None
        self.began = 0.0  # when what is under way was first sent


class Load:
    """One run against a server. `endpoints` is as long as `work`: (host, port, path) of each connection."""

    def __init__(
        self,
        endpoints: Sequence[tuple[str, int, str]],
        work: Sequence[Iterator[Signed]],
        *,
        window: int,
        rate: float | None = None,
    ) -> None:
        self._workers = [
            _Worker(Connection(*endpoint), transactions)
            for endpoint, transactions in zip(endpoints, work, strict=True)
        ]
        self._control = Connection(*endpoints[0])
        self._window = window
        self._rate = rate
        self._sent = 0
        self._outstanding = 0
        self._block = -1
        self.last_sent = 0.0

    def run(self, seconds: float, *, least: float = 0.0) -> Outcome:
        """Send for that long or until the work is at its end, then wait for all receipts; `least` seconds
        in all."""
        selector = selectors.DefaultSelector()
        for worker in self._workers:
            selector.register(worker.connection.socket, selectors.EVENT_READ, worker)
        selector.register(self._control.socket, selectors.EVENT_READ, None)
        outcome = Outcome(begin=time.perf_counter())
        stop, polled, polling = outcome.begin + seconds, 0.0, False
        progress = outcome.begin
        while True:
            now = time.perf_counter()
            sending = now < stop
            if not polling and now - polled >= BLOCK_POLL:
                self._control.send(_call("eth_blockNumber"))
                polling, polled = True, now
            busy = False
            for worker in self._workers:
                if worker.under_way is None:
                    self._start(worker, outcome, sending, now)
                busy |= worker.under_way is not None or bool(worker.waiting)
                busy |= sending and worker.next is not None
            if not busy and now - outcome.begin >= least:
                break
            if busy and now - progress > PATIENCE:
                raise SystemExit(f"no receipt for {PATIENCE:g} s, {self._outstanding} are missing")
            for key, _ in selector.select(BLOCK_POLL):
                if key.data is None:
                    body = self._control.receive()
                    if body is not None:
                        self._block, polling = int(json.loads(body)["result"], 16), False
                elif (body := key.data.connection.receive()) is not None:
                    before = outcome.confirmed
                    self._answered(key.data, body, outcome)
                    if outcome.confirmed > before:
                        progress = time.perf_counter()
        outcome.end = time.perf_counter()
        self.last_sent = self.last_sent or outcome.end
        selector.close()
        for worker in self._workers:
            worker.connection.socket.close()
        self._control.socket.close()
        return outcome

    def _start(self, worker: _Worker, outcome: Outcome, sending: bool, now: float) -> None:
        if worker.waiting and (worker.asked_at < self._block or now >= worker.ask_again):
            worker.under_way = worker.waiting[0]
            worker.connection.send(_call("eth_getTransactionReceipt", worker.waiting[0].tx.hash))
        elif sending and worker.next is not None and self._may_send(worker, outcome, now):
            if worker.began == 0.0:
                worker.began = now
            worker.under_way = worker.next
            self._outstanding += 1
            self._sent += 1
            worker.connection.send(_call("eth_sendRawTransaction", "0x" + worker.next.raw.hex()))

    def _may_send(self, worker: _Worker, outcome: Outcome, now: float) -> bool:
        if now < worker.idle_until or self._outstanding >= self._window:
            return False
        return self._rate is None or self._sent < self._rate * (now - outcome.begin)

    def _answered(self, worker: _Worker, body: bytes, outcome: Outcome) -> None:
        asked, worker.under_way = worker.under_way, None
        answer, now = json.loads(body), time.perf_counter()
        if isinstance(asked, Signed):
            self._accepted(worker, asked, answer, outcome, now)
            return
        assert asked is not None
        receipt = answer.get("result")
        if receipt is None:
            if "error" in answer:
                raise SystemExit(f"a receipt was refused: {answer['error']}")
            worker.asked_at, worker.ask_again = self._block, now + ASK_AGAIN
            return
        if receipt["status"] != "0x1" or receipt["transactionHash"] != asked.tx.hash:
            raise SystemExit(f"a transaction failed: {receipt}")
        worker.waiting.popleft()
        self._outstanding -= 1
        outcome.latencies.append(now - asked.at)
        outcome.seen_at.append(now)

    def _accepted(
        self, worker: _Worker, tx: Signed, answer: dict[str, object], outcome: Outcome, now: float
    ) -> None:
        if "error" in answer:
            message = str(answer["error"]["message"])  # type: ignore[index]
            if not any(word in message for word in FULL):
                raise SystemExit(f"a transaction was refused: {message}")
            self._outstanding -= 1
            self._sent -= 1
            outcome.refused += 1
            outcome.refusals[message[:60]] = outcome.refusals.get(message[:60], 0) + 1
            worker.idle_until = now + BUSY_RETRY
            return
        if answer["result"] != tx.hash:
            raise SystemExit(f"the hash {answer['result']} is not {tx.hash}")
        worker.waiting.append(Sent(tx, worker.began))
        worker.began = 0.0
        worker.next = next(worker.work, None)
        self.last_sent = now


def _call(method: str, *params: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
