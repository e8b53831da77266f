"""What holds on every network at every height, as far as its endpoints show it."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from tests.cluster.support.client import (
    INBOX,
    MESSENGER,
    OUTBOX,
    call,
    call_many,
    lane_slot,
    wait_for,
)

if TYPE_CHECKING:
    from tests.cluster.support.network import Network

Lane = tuple[int, int]
Position = tuple[int, str]
"""(count, head) of a lane."""


class Invariants:
    """Checks blocks, lanes and value, each height once: repeated checks look at what is new."""

    def __init__(self, network: "Network") -> None:
        self._network = network
        self.start_over()

    def start_over(self) -> None:
        """Look at everything again, from the genesis on."""
        self._blocks: dict[int, int] = defaultdict(int)
        self._network_blocks = 0
        self._audited = 0
        self._read: dict[tuple[int, int], int] = defaultdict(int)
        self._sent: dict[Lane, dict[int, str]] = defaultdict(dict)

    def check(self) -> None:
        """Wait until nothing is under way, then check all of it."""
        self.wait_until_quiet()
        self.check_blocks()
        self.check_network_blocks()
        self.check_lanes()
        self.check_audit()

    def wait_until_quiet(self) -> None:
        # Twice: the nodes are asked one after the other, and a message may have slipped through between.
        wait_for(lambda: self._is_quiet() and self._is_quiet(), "pools and lanes to drain")

    def _is_quiet(self) -> bool:
        for node in self._network.nodes:
            status = call(node["rpc"], "atoll_status")
            if status["pool"]["pending"] or status["pool"]["queued"]:
                return False
            if any(lane["sent"] != lane["delivered"] for lane in status["lanes"]):
                return False
        return True

    def check_blocks(self) -> None:
        """Every node of a shard has the same blocks with the same roots."""
        for shard in self._network.shards:
            nodes = range(len(self._network.shard_nodes(shard)))
            endpoints = [self._network.shard_endpoint(shard, index) for index in nodes]
            start, end = self._blocks[shard], min(map(_height, endpoints)) + 1
            chains = [_blocks(endpoint, start, end) for endpoint in endpoints]
            for blocks in zip(*chains, strict=True):
                roots = {(b["hash"], b["stateRoot"], b["receiptsRoot"]) for b in blocks}
                assert len(roots) == 1, f"shard {shard}, block {blocks[0]['number']}: {roots}"
            self._blocks[shard] = end

    def check_network_blocks(self) -> None:
        """The network's chain is the same through every shard, with the same transactions."""
        endpoints = [self._network.endpoint(shard) for shard in self._network.shards]
        start, end = self._network_blocks, min(map(_height, endpoints)) + 1
        chains = [_blocks(endpoint, start, end) for endpoint in endpoints]
        parent = None
        for blocks in zip(*chains, strict=True):
            first = blocks[0]
            assert all(block == first for block in blocks), f"network block {first['number']}"
            assert parent is None or first["parentHash"] == parent
            parent = first["hash"]
        self._network_blocks = end

    def check_lanes(self) -> None:
        """Every inbox is a prefix of its outbox; nothing is under way, so they are equal in the end."""
        received = {
            (src, dst): positions
            for dst in self._network.shards
            for src, positions in self._positions(dst, INBOX).items()
        }
        for src in self._network.shards:
            for dst, positions in self._positions(src, OUTBOX).items():
                self._sent[src, dst].update(positions)
        for lane, positions in received.items():
            sent = self._sent[lane]
            for count, head in positions:
                assert count <= max(sent), f"lane {lane}: {count} consumed, {max(sent)} sent"
                assert sent.get(count, head) == head, f"lane {lane}: another chain at {count}"
            assert positions[-1][0] == max(sent), f"lane {lane} is not drained"

    def _positions(self, shard: int, mapping: int) -> dict[int, list[Position]]:
        """By the other shard, where the lanes stood at each height that was not read before."""
        endpoint = self._network.shard_endpoint(shard)
        start, end = self._read[shard, mapping], _height(endpoint) + 1
        others = [other for other in self._network.shards if other != shard]
        words = iter(
            call_many(
                endpoint,
                (
                    ("eth_getStorageAt", [MESSENGER, hex(slot), hex(height)])
                    for height in range(start, end)
                    for other in others
                    for slot in (lane_slot(mapping, other), lane_slot(mapping, other) + 1)
                ),
            )
        )
        positions: dict[int, list[Position]] = {other: [] for other in others}
        for _ in range(start, end):
            for other in others:
                positions[other].append((int(next(words), 16), next(words)))
        self._read[shard, mapping] = (
            end - 1
        )  # the last height again: there is always one to compare
        return positions

    def check_audit(self) -> None:
        """No wei was made or lost at any network block."""
        endpoint = self._network.info["rpc"]
        end = _height(endpoint) + 1
        audits = call_many(
            endpoint, (("atoll_audit", [hex(number)]) for number in range(self._audited, end))
        )
        for audit in audits:
            assert audit["balanced"], audit
            assert int(audit["difference"], 16) == 0, audit
        self._audited = end


def _height(endpoint: str) -> int:
    return int(call(endpoint, "eth_blockNumber"), 16)


def _blocks(endpoint: str, start: int, end: int) -> list[dict[str, Any]]:
    return call_many(
        endpoint, (("eth_getBlockByNumber", [hex(number), False]) for number in range(start, end))
    )
