"""The invariants of every network at every height, as far as its endpoints show it."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from node.cluster.client.client import call, call_many
from node.cluster.errors import InvariantBroken, NetworkFailed, RequestFailed, RpcUnreachable
from node.primitives.message import LanePosition
from node.primitives.messenger import MESSENGER, LaneSlots, inbox_slots, outbox_slots

Lane = tuple[int, int]
"""(source, destination)."""
Endpoints = Callable[[], Mapping[int, Sequence[str]]]
"""shard -> the JSON-RPC endpoints of its nodes."""

QUIET_SECONDS = 60.0
POLL_INTERVAL = 0.05
TIMEOUT = 30.0
MAX_AUDITS = 500
_MESSENGER = "0x" + MESSENGER.hex()


class Invariants:
    """Checks blocks, lanes and value, each height once: repeated checks look at what is new.

    Every check raises InvariantBroken, and RequestFailed where an endpoint does not answer.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self.start_over()

    def start_over(self) -> None:
        """Look at everything again, from the genesis on."""
        self._blocks: dict[int, int] = defaultdict(int)
        self._network_blocks = 0
        self._audited = 0
        self._read: dict[tuple[int, str], int] = defaultdict(int)
        self._sent: dict[Lane, dict[int, LanePosition]] = defaultdict(dict)

    def check(self) -> None:
        """Wait until nothing is under way, then check all of it."""
        self.wait_until_quiet()
        self.check_blocks()
        self.check_network_blocks()
        self.check_lanes()
        self.check_audit()

    def wait_until_quiet(self, seconds: float = QUIET_SECONDS) -> None:
        """Until pools and lanes are empty. Raises NetworkFailed with what is not, after `seconds`."""
        deadline = time.monotonic() + seconds
        # Twice: the nodes are asked one after the other, and a message may have slipped through between.
        while (busy := self._busy() or self._busy()) is not None:
            if time.monotonic() > deadline:
                raise NetworkFailed(f"pools and lanes did not drain in {seconds:g} s: {busy}")
            time.sleep(POLL_INTERVAL)

    def _busy(self) -> str | None:
        """The first thing that is under way, in words; None if all is quiet."""
        for endpoints in self._endpoints().values():
            for endpoint in endpoints:
                status = call(endpoint, "atoll_status", timeout=TIMEOUT)
                pool = status["pool"]
                if pool["pending"] or pool["queued"]:
                    return f"{status['name']} has a pool of {pool['pending']} + {pool['queued']}"
                for lane in status["lanes"]:
                    if lane["sent"] != lane["delivered"]:
                        return f"lane {lane['src']} -> {lane['dst']}: {lane['sent'] - lane['delivered']}"
        return None

    def check_blocks(self) -> int:
        """Check that every node of a shard has the same blocks with the same roots. Returns the number
        compared.
        """
        checked = 0
        for shard, nodes in self._endpoints().items():
            endpoints = [f"{node}/shard/{shard}" for node in nodes]
            start, end = self._blocks[shard], min(map(_height, endpoints)) + 1
            chains = [_blocks(endpoint, start, end) for endpoint in endpoints]
            for blocks in zip(*chains, strict=True):
                roots = {(b["hash"], b["stateRoot"], b["receiptsRoot"]) for b in blocks}
                if len(roots) != 1:
                    raise InvariantBroken(f"shard {shard}, block {blocks[0]['number']}: {roots}")
                checked += 1
            self._blocks[shard] = max(start, end)
        return checked

    def check_network_blocks(self) -> int:
        """Check that the network's chain is the same through every shard, with the same transactions."""
        endpoints = [nodes[0] for nodes in self._endpoints().values()]
        if not endpoints:
            raise RpcUnreachable("no node answers")
        start, end = self._network_blocks, min(map(_height, endpoints)) + 1
        chains = [_blocks(endpoint, start, end) for endpoint in endpoints]
        parent = None
        for blocks in zip(*chains, strict=True):
            first = blocks[0]
            if any(block != first for block in blocks):
                raise InvariantBroken(f"network block {first['number']} differs: {blocks}")
            if parent is not None and first["parentHash"] != parent:
                raise InvariantBroken(f"network block {first['number']} has another parent")
            parent = first["hash"]
        self._network_blocks = max(start, end)
        return len(chains[0])

    def check_lanes(self) -> int:
        """Check that every inbox is a prefix of its outbox; at rest they are equal."""
        places = self._endpoints()
        received = {
            (src, dst): positions
            for dst in places
            for src, positions in self._positions(dst, inbox_slots).items()
        }
        for src in places:
            for dst, positions in self._positions(src, outbox_slots).items():
                self._sent[src, dst].update({position.count: position for position in positions})
        for src, nodes in places.items():
            status = call(nodes[0], "atoll_status", timeout=TIMEOUT)
            for lane in status["lanes"]:  # what is read here is what the nodes count
                if max(self._sent[src, lane["dst"]]) < lane["sent"]:
                    raise InvariantBroken(f"lane {lane}: its outbox has fewer")
        for lane_id, positions in received.items():
            self._check_prefix(lane_id, positions)
        return sum(len(positions) for positions in received.values())

    def _check_prefix(self, lane: Lane, positions: Sequence[LanePosition]) -> None:
        sent = self._sent[lane]
        for position in positions:
            if position.count > max(sent):
                raise InvariantBroken(f"lane {lane}: {position} consumed, {max(sent)} sent")
            known = sent.get(position.count, position)
            if known != position:
                raise InvariantBroken(f"lane {lane}: {position} consumed, {known} sent")
        if positions[-1].count != max(sent):
            raise InvariantBroken(f"lane {lane} is not drained")

    def _positions(
        self, shard: int, slots_of: Callable[[int], LaneSlots]
    ) -> dict[int, list[LanePosition]]:
        """By the other shard, where the lanes stood at each height that was not read before."""
        places = self._endpoints()
        endpoint, mapping = f"{places[shard][0]}/shard/{shard}", slots_of.__name__
        start, end = self._read[shard, mapping], _height(endpoint) + 1
        others = [other for other in places if other != shard]
        calls = [
            ("eth_getStorageAt", [_MESSENGER, hex(slot), hex(height)])
            for height in range(start, end)
            for other in others
            for slot in astuple(slots_of(other))
        ]
        words = iter(call_many(endpoint, calls, timeout=TIMEOUT))
        positions: dict[int, list[LanePosition]] = {other: [] for other in others}
        for _ in range(start, end):
            for other in others:
                slots = slots_of(other)
                read = {slot: int(next(words), 16) for slot in astuple(slots)}
                positions[other].append(slots.read(read.__getitem__))
        # The last height is read again the next time: there is always one to compare.
        self._read[shard, mapping] = end - 1
        return positions

    def check_audit(self) -> int:
        """Check that no wei was made or lost at any new network block. Returns the number of audits.

        Of more than MAX_AUDITS blocks, at most that many are audited, spread evenly, and always the newest:
        lost wei stay lost, and an audit adds up all accounts.
        """
        endpoint = self._first_that_answers()
        end = _height(endpoint) + 1
        step = max(end - self._audited - 1, 0) // MAX_AUDITS + 1
        numbers = range(end - 1, self._audited - 1, -step)
        calls = [("atoll_audit", [hex(number)]) for number in reversed(numbers)]
        for audit in call_many(endpoint, calls, timeout=TIMEOUT):
            if not audit["balanced"] or int(audit["difference"], 16) != 0:
                raise InvariantBroken(f"the audit does not balance: {audit}")
        self._audited = max(self._audited, end)
        return len(calls)

    def _first_that_answers(self) -> str:
        for nodes in self._endpoints().values():
            for endpoint in nodes:
                try:
                    _height(endpoint)
                except RequestFailed:
                    continue
                return endpoint
        raise RpcUnreachable("no node answers")


def _height(endpoint: str) -> int:
    return int(call(endpoint, "eth_blockNumber", timeout=TIMEOUT), 16)


def _blocks(endpoint: str, start: int, end: int) -> list[dict[str, Any]]:
    calls = [("eth_getBlockByNumber", [hex(number), False]) for number in range(start, end)]
    return call_many(endpoint, calls, timeout=TIMEOUT)
