"""The JSON-RPC's backend: a node with its chains."""

from collections.abc import Callable, Mapping
from typing import Any

from node.concurrency.head_signal import HeadSignal
from node.view.chain_view import ChainView
from node.view.development import Development
from node.view.following.methods import AtollView
from node.view.network_view import NetworkView
from node.view.ports import BeaconReader, SnapshotKeeper
from node.view.shard_view import ShardView
from node.view.shards import Shards
from node.view.wallet.wallet import Wallet
from rpc.backend import NodeFacts
from rpc.errors import ResourceNotFound
from rpc.fault_port import FaultBackend

SYNC_SLACK = 8
"""Network blocks the view may be behind the beacon before clients are told that the node syncs."""


class NodeBackend:
    """An `rpc.backend.Backend` over the views.

    `head_signal` is sent when a chain of this node grows. `highest` is the highest beacon block that a peer
    claims to have, `coinbase` the fee recipient of this node's blocks, `version` the answer of
    `web3_clientVersion`.
    """

    def __init__(
        self,
        *,
        network: NetworkView,
        shards: Mapping[int, ShardView],
        atoll: AtollView,
        beacon: BeaconReader,
        sources: Shards,
        node: NodeFacts,
        wallet: Wallet,
        head_signal: HeadSignal,
        highest: Callable[[], int],
        chain_id: int,
        version: str,
        coinbase: bytes | None = None,
        faults: FaultBackend,
        dev_methods: bool = False,
        snapshots: SnapshotKeeper | None = None,
    ) -> None:
        self.faults = faults
        self._network = network
        self._shards = shards
        self.atoll = atoll
        self._beacon = beacon
        self.node = node
        self._chain_id = chain_id
        self._version = version
        self.wallet = wallet
        self._highest = highest
        self._coinbase = coinbase
        self.dev = Development(
            beacon,
            sources,
            network=network,
            chains=shards,
            wallet=wallet,
            head_signal=head_signal,
            allowed=dev_methods,
            snapshots=snapshots,
            version=version,
        )
        for chain in (network, *shards.values()):
            chain.on_submitted += [network.pool.note, self.dev.submitted]

    def chain(self, scope: int | None) -> ChainView:
        if scope is None:
            return self._network
        view = self._shards.get(scope)
        if view is None:
            raise ResourceNotFound(
                f"there is no shard {scope}: this network has shards 0 to {len(self._shards) - 1}"
            )
        return view

    async def client_version(self) -> str:
        return self._version

    async def chain_id(self) -> int:
        return self._chain_id

    async def coinbase(self) -> bytes | None:
        return self._coinbase

    async def syncing(self) -> dict[str, Any] | None:
        """The progress of syncing, None if the node does not sync.

        It syncs if the network view is behind the beacon (our own shard is catching up then), or if one of our
        chains is behind the heights that peers claim.
        """
        current, highest = await self._network.block_number(), self._beacon.head.height
        if highest - current <= SYNC_SLACK and not self.node.syncing():
            return None
        highest = max(highest, self._highest())
        return {"startingBlock": 0, "currentBlock": current, "highestBlock": highest}
