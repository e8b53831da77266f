"""What the log says of a block, above the level debug."""

from types import SimpleNamespace
from typing import Any, cast

from eth_abi import encode
from structlog.testing import capture_logs

from node.primitives.basics import keccak256
from node.primitives.transaction import decode_fields
from node.telemetry.chain_log import ChainLog


def test_what_contracts_said_is_told_with_their_transaction() -> None:
    raw = bytes.fromhex("c9808080808080808080")
    tx = decode_fields(raw, bytes(20))  # type: ignore[arg-type]
    data = keccak256(b"log(string)")[:4] + encode(["string"], ["hello"])
    executed = SimpleNamespace(
        console=((1, data), (0, b"\1")),
        bodies=(SimpleNamespace(id=b"\7" * 32), tx),
        header=SimpleNamespace(number=9),
    )
    with capture_logs() as lines:
        ChainLog("shard/0").shard_block(cast(Any, executed), cast(Any, None))
    said = [(line["event"], line["text"], line["tx"], line["height"]) for line in lines]
    assert said == [
        ("console.log", "hello", "0x" + keccak256(raw).hex(), 9),
        ("console.log", "0x01", "0x" + "07" * 32, 9),
    ]
