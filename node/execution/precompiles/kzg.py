"""The point evaluation precompile (EIP-4844).

ckzg would do it after loading the whole trusted setup, which takes 2 s and is for committing. Verifying
an opening takes one point of the setup.
"""

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from node.execution.frame.frame import Frame
from node.execution.frame.pyevm import VMError

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, G2Point

GAS = 50_000
VERSIONED_HASH_VERSION = b"\x01"
FIELD_ELEMENTS_PER_BLOB = 4096
BLS_MODULUS = 52435875175126190479447740508185965837690552500527637822603658699938581184513
# the ceremony's [tau]_2, compressed: KZG_SETUP_G2_MONOMIAL[1] of the consensus specifications
TAU_G2 = bytes.fromhex(
    "b5bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d"
    "2914e5870cb452d2afaaab24f3499f72185cbfee53492714734429b7b38608e2"
    "3926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
)
_OUTPUT = FIELD_ELEMENTS_PER_BLOB.to_bytes(32, "big") + BLS_MODULUS.to_bytes(32, "big")
_COMPRESSED, _INFINITY, _LARGER = 0x80, 0x40, 0x20  # flags in the first byte of a compressed point


@cache
def _tau() -> "G2Point":
    from py_arkworks_bls12381 import G2Point

    return G2Point.from_compressed_bytes(TAU_G2)


def _point(data: bytes) -> "G1Point":
    """The point of the subgroup with this compressed form. Raises ValueError: there is one form only."""
    from py_arkworks_bls12381 import G1Point

    from node.execution.precompiles.bls import MODULUS

    flags = data[0]
    if not flags & _COMPRESSED:
        raise ValueError("not compressed")
    if flags & _INFINITY:
        if data != bytes([_COMPRESSED | _INFINITY]) + bytes(47):
            raise ValueError("infinity with coordinates")
        return G1Point.identity()
    x = bytes([flags & ~(_COMPRESSED | _LARGER)]) + data[1:]
    if int.from_bytes(x, "big") >= MODULUS:
        raise ValueError("not a field element")
    return G1Point.from_compressed_bytes(data)


def verify_opening(commitment: bytes, z: bytes, y: bytes, proof: bytes) -> bool:
    """True if the polynomial with this commitment has p(z) = y: e(C - [y] + [z]P, [1]) = e(P, [tau]).

    Points are compressed, 48 bytes, field elements 32 bytes; the result is false for malformed ones.
    """
    from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

    if any(int.from_bytes(element, "big") >= BLS_MODULUS for element in (z, y)):
        return False
    try:
        c, p = _point(commitment), _point(proof)
    except ValueError:
        return False
    left = c - G1Point() * Scalar.from_be_bytes(y) + p * Scalar.from_be_bytes(z)
    return GT.pairing_check([left, -p], [G2Point(), _tau()])


def point_evaluation(frame: Frame) -> None:
    """versioned hash || z || y || commitment || proof: that the blob's polynomial has p(z) = y."""
    frame.meter.consume_gas(GAS)
    if len(frame.msg.data) != 192:
        raise VMError("invalid input length")
    data = frame.msg.data_as_bytes
    commitment = data[96:144]
    if VERSIONED_HASH_VERSION + hashlib.sha256(commitment).digest()[1:] != data[:32]:
        raise VMError("mismatched versioned hash")
    if not verify_opening(commitment, data[32:64], data[64:96], data[144:192]):
        raise VMError("error verifying kzg proof")
    frame.output = _OUTPUT
