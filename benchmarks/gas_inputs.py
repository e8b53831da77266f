"""Valid inputs for precompiles, made with py_ecc and ckzg."""

import hashlib
from typing import Any

import ckzg

from node.primitives.keys import SigningKey
from tests.conformance.differential.inputs import bn128, kzg_setup


def ecrecover_input() -> bytes:
    digest = b"\xa5" * 32
    signature = SigningKey(b"\x11" * 32).sign_digest(digest)
    return digest + (27 + signature[64]).to_bytes(32, "big") + signature[:64]


def _word(value: Any) -> bytes:
    return int(value).to_bytes(32, "big")


def bn_g1(*, multiply_by: int) -> bytes:
    x, y = bn128.multiply(bn128.G1, multiply_by)
    return _word(x) + _word(y)


def bn_g2(*, multiply_by: int) -> bytes:
    x, y = bn128.multiply(bn128.G2, multiply_by)
    return b"".join(map(_word, (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0])))


def kzg_input() -> bytes:
    setup = kzg_setup()
    blob = bytearray(131_072)
    blob[31] = 7
    commitment = ckzg.blob_to_kzg_commitment(bytes(blob), setup)
    z = (12345).to_bytes(32, "big")
    proof, y = ckzg.compute_kzg_proof(bytes(blob), z, setup)
    versioned = b"\x01" + hashlib.sha256(commitment).digest()[1:]
    return bytes(versioned + z + y + commitment + proof)
