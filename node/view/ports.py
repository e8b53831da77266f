"""The views' ports to the beacon and to the node."""

from collections.abc import Sequence
from typing import Protocol

from consensus.types import Certificate
from node.beacon.block import BeaconBlock
from node.beacon.state import BeaconState
from node.primitives.basics import Address, Hash32, ShardId
from node.view.calls import PlacedCall, SimulationBase
from node.view.entries import ListedBlock
from rpc.wire import BlockRef, CallRequest, Overrides


class BeaconReader(Protocol):
    """The finalised beacon chain of this node; see `node.beacon.chain.BeaconChain`."""

    @property
    def head(self) -> BeaconBlock: ...

    def block(self, height: int) -> BeaconBlock | None: ...

    def certificate(self, height: int) -> Certificate | None: ...

    def height_of(self, block_hash: Hash32) -> int | None: ...

    def state_at(self, height: int) -> BeaconState: ...

    def crosslinked_in(self, shard: ShardId, shard_height: int) -> int | None: ...


class CannotRevert(Exception):
    """The network cannot go back to a snapshot that is there; the text says why."""


class SnapshotKeeper(Protocol):
    """The part of the node that takes the network back; see `node.runtime.snapshots.Snapshots`."""

    def take(self) -> int: ...

    def genesis(self) -> int: ...

    async def revert(self, snapshot: int) -> bool: ...


class Listing(Protocol):
    """The blocks of a chain, as simulations and traces need them; see `node.view.chain_view.ChainView`."""

    @property
    def chain_id(self) -> int: ...

    async def number_of(self, ref: BlockRef) -> int | None: ...

    async def listed(self, number: int) -> ListedBlock: ...

    async def locate(self, tx_hash: bytes) -> tuple[ListedBlock, int] | None: ...

    async def place_call(
        self, request: CallRequest, ref: BlockRef, overrides: Overrides
    ) -> PlacedCall: ...

    async def simulation_base(
        self, accounts: Sequence[Address], ref: BlockRef
    ) -> SimulationBase: ...
