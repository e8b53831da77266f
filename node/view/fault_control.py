"""An `rpc.fault_port.FaultBackend`: what the JSON-RPC may do to this node."""

from collections.abc import Callable
from typing import Any

import msgspec

from consensus.errors import ConsensusError
from node.beacon.evidence import EvidenceItem, decode_item
from node.config.live_faults import LiveFaults
from node.config.node_config import NodeConfig, is_loopback
from node.config.node_faults import NodeFaults
from node.primitives.errors import DecodeError, InvalidBlock, UserError
from node.view.development import OFF
from rpc.errors import InvalidParams, ServerError

NOT_LOCAL = (
    "the endpoint listens at {host}, where other machines reach it: faults are taken over JSON-RPC only "
    "where rpc.host is a loopback address; set them in [faults] of node.toml, or with `atoll fault`, and "
    "start the node again"
)
_decode = msgspec.json.Decoder(NodeFaults)  # made here: msgspec crashes if two threads are first


class FaultControl:
    """Takes faults for `live` where `allowed` (by the genesis) and the endpoint is on loopback."""

    def __init__(
        self,
        live: LiveFaults,
        *,
        accuse: Callable[[EvidenceItem], bool],
        config: NodeConfig,
        allowed: bool,
    ) -> None:
        self._live = live
        self._accuse = accuse
        self._signs = config.validator_key is not None
        self._peers = {peer.name for peer in config.peers}
        host = config.rpc.host
        self.off: str | None = None
        if not allowed:
            self.off = OFF
        elif not is_loopback(host):
            self.off = NOT_LOCAL.format(host=host)

    def show(self) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.to_builtins(self._live.current)
        return document

    def set(self, faults: dict[str, Any]) -> dict[str, Any]:
        try:
            wanted = _decode.decode(msgspec.json.encode(faults))
            wanted.check(signs=self._signs, peers=self._peers)
        except (msgspec.ValidationError, UserError) as error:
            raise InvalidParams(f"invalid argument 0 (faults): {error}") from None
        self._live.set(wanted)
        return self.show()

    def accuse(self, evidence: bytes) -> bool:
        try:
            return self._accuse(decode_item(evidence))
        except (DecodeError, ConsensusError) as error:
            raise InvalidParams(f"invalid argument 0 (evidence): {error}") from None
        except InvalidBlock as error:
            raise ServerError(f"evidence refused: {error}") from None
