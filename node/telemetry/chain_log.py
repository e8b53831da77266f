"""The events of every transaction and message, as debug lines that can be found by `tx` or `message`."""

import structlog

from consensus.types import Certificate
from node.beacon.block import BeaconBlock
from node.primitives.console import console_text
from node.primitives.transaction import Transaction
from node.shard.run import ExecutedBlock
from node.telemetry.logs import control


class ChainLog:
    """A listener of both chains of a node; above the level debug it tells what contracts said only."""

    def __init__(self, chain: str) -> None:
        self._log = structlog.get_logger().bind(chain=chain)
        self._beacon = structlog.get_logger().bind(chain="beacon")

    def shard_block(self, executed: ExecutedBlock, certificate: Certificate) -> None:
        for index, data in executed.console:
            item = executed.bodies[index]
            name = item.hash if isinstance(item, Transaction) else getattr(item, "id", b"")
            self._log.info(
                "console.log",
                text=console_text(data),
                tx="0x" + name.hex(),
                height=executed.header.number,
            )
        if control.level != "debug":
            return
        header = executed.header
        log = self._log.bind(
            height=header.number, round=certificate.round, hash="0x" + header.hash.hex()
        )
        for index, tx in executed.decoded:
            log.debug("transaction included", tx="0x" + tx.hash.hex(), index=index)
        for index, operation in executed.operations:
            log.debug("operation included", tx="0x" + operation.hash.hex(), index=index)
        for sent in executed.sent:
            message = sent.message
            log.debug(
                "message sent",
                message="0x" + message.id.hex(),
                tx="0x" + message.origin_tx.hex(),
                dst=int(message.dst),
                seq=message.seq,
            )
        for index, message in executed.delivered:
            log.debug(
                "message delivered",
                message="0x" + message.id.hex(),
                tx="0x" + message.origin_tx.hex(),
                src=int(message.src),
                seq=message.seq,
                index=index,
            )

    def beacon_block(self, block: BeaconBlock, certificate: Certificate) -> None:
        if control.level != "debug":
            return
        log = self._beacon.bind(
            height=block.height, round=certificate.round, hash="0x" + block.hash.hex()
        )
        for crosslink in block.body.crosslinks:
            log.debug(
                "crosslink included",
                shard=int(crosslink.shard),
                shard_height=crosslink.height,
                shard_hash="0x" + crosslink.header.hash.hex(),
            )
