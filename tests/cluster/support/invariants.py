"""What holds on every network at every height, as far as its endpoints show it."""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from node.primitives.messenger import LaneSlots, inbox_slots, outbox_slots
from tests.cluster.support.client import MESSENGER, call, call_many, wait_for

if TYPE_CHECKING:
    from tests.cluster.support.network import Network

Lane = tuple[int, int]
Position = tuple[int, str, int]
"""(count, head, gas) of a lane."""


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
        self._read: dict[tuple[int, str], int] = defaultdict(int)
        self._sent: dict[Lane, dict[int, Position]] = defaultdict(dict)

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
            for src, positions in self._positions(dst, inbox_slots).items()
        }
        for src in self._network.shards:
            for dst, positions in self._positions(src, outbox_slots).items():
                self._sent[src, dst].update({position[0]: position for position in positions})
        for src in self._network.shards:
            status = call(self._network.endpoint(src), "atoll_status")
            for lane in status["lanes"]:  # what is read here is what the nodes count
                assert max(self._sent[src, lane["dst"]]) >= lane["sent"], lane
        for lane, positions in received.items():
            sent = self._sent[lane]
            for position in positions:
                assert position[0] <= max(sent), (
                    f"lane {lane}: {position} consumed, {max(sent)} sent"
                )
                known = sent.get(position[0], position)
                assert known == position, f"lane {lane}: {position} consumed, {known} sent"
            assert positions[-1][0] == max(sent), f"lane {lane} is not drained"

    def _positions(
        self, shard: int, slots_of: Callable[[int], LaneSlots]
    ) -> dict[int, list[Position]]:
        """By the other shard, where the lanes stood at each height that was not read before."""
        endpoint, mapping = self._network.shard_endpoint(shard), slots_of.__name__
        start, end = self._read[shard, mapping], _height(endpoint) + 1
        others = [other for other in self._network.shards if other != shard]
        words = iter(
            call_many(
                endpoint,
                (
                    ("eth_getStorageAt", [MESSENGER, hex(slot), hex(height)])
                    for height in range(start, end)
                    for slots in map(slots_of, others)
                    for slot in (slots.count, slots.head, slots.gas)
                ),
            )
        )
        positions: dict[int, list[Position]] = {other: [] for other in others}
        for _ in range(start, end):
            for other in others:
                count, head, gas = next(words), next(words), next(words)
                positions[other].append((int(count, 16), head, int(gas, 16)))
        # The last height is read again the next time: there is always one to compare.
        self._read[shard, mapping] = end - 1
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
