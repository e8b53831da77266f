"""The point evaluation precompile (EIP-4844)."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from node.execution.frame import Frame
from node.execution.pyevm import VMError

GAS = 50_000
VERSIONED_HASH_VERSION = b"\x01"
FIELD_ELEMENTS_PER_BLOB = 4096
BLS_MODULUS = 52435875175126190479447740508185965837690552500527637822603658699938581184513
_OUTPUT = FIELD_ELEMENTS_PER_BLOB.to_bytes(32, "big") + BLS_MODULUS.to_bytes(32, "big")


@cache
def _trusted_setup() -> Any:
    """The ceremony's setup, which py-evm ships. Loading takes seconds: once per process, when needed."""
    import ckzg
    import eth._utils

    path = Path(next(iter(eth._utils.__path__))) / "kzg_trusted_setup.txt"
    return ckzg.load_trusted_setup(str(path), 0)


def point_evaluation(frame: Frame) -> None:
    """versioned hash || z || y || commitment || proof: that the blob's polynomial has p(z) = y."""
    frame.meter.consume_gas(GAS)
    if len(frame.msg.data) != 192:
        raise VMError("invalid input length")
    data = frame.msg.data_as_bytes
    commitment = data[96:144]
    if VERSIONED_HASH_VERSION + hashlib.sha256(commitment).digest()[1:] != data[:32]:
        raise VMError("mismatched versioned hash")
    import ckzg

    try:
        valid = ckzg.verify_kzg_proof(
            commitment, data[32:64], data[64:96], data[144:192], _trusted_setup()
        )
    except (RuntimeError, ValueError):  # not points of the curve, not field elements
        valid = False
    if not valid:
        raise VMError("error verifying kzg proof")
    frame.output = _OUTPUT
