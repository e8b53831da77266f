"""The precompiled contracts of Prague, 0x01 to 0x11, and BEACON.

py-evm's precompiles are used where they do well enough. Ours are: ecrecover (coincurve, without eth_keys'
objects), modexp (py-evm has 0^0 mod m = 0, and Python's pow takes ten times as long as GMP's), blake2f (py-evm
takes longer to read its input than to compress), the KZG point evaluation (py-evm reads its trusted setup again
on every call, 2 s, and checks by assert), alt_bn128 and BLS12-381 (as py-evm has them, over py_ecc, a block of
pairings takes minutes). Libraries that are rarely needed are imported at their first use.
"""

import hashlib
import struct
from collections.abc import Callable

import blake2b
import coincurve
from gmpy2 import powmod

from node.execution.evm.precompile_beacon import beacon
from node.execution.frame.frame import Frame
from node.execution.frame.pyevm import VMError
from node.execution.precompiles import bls, bn, kzg
from node.primitives.basics import Address
from node.primitives.keys import CURVE_ORDER, address_of_public_key
from node.primitives.messenger import BEACON

Precompile = Callable[[Frame], None]
Data = bytes | memoryview

_BLAKE2F_INPUT = struct.Struct("<8Q16Q2Q?")  # after the rounds: h, m, t, the final flag


def words(size: int) -> int:
    return (size + 31) // 32


def ecrecover(frame: Frame) -> None:
    """hash || v || r || s -> the signer's address; empty for an invalid signature."""
    frame.meter.consume_gas(3000)
    data = bytes(frame.msg.data[:128]).ljust(128, b"\0")
    v = int.from_bytes(data[32:64], "big")
    r = int.from_bytes(data[64:96], "big")
    s = int.from_bytes(data[96:128], "big")
    if v not in (27, 28) or not 0 < r < CURVE_ORDER or not 0 < s < CURVE_ORDER:
        return
    signature = data[64:128] + bytes([v - 27])
    try:
        key = coincurve.PublicKey.from_signature_and_message(signature, data[:32], hasher=None)
    except Exception:  # noqa: BLE001 - coincurve raises bare Exception and ValueError alike
        return
    frame.output = address_of_public_key(key.format(compressed=False)).rjust(32, b"\0")


def sha256(frame: Frame) -> None:
    data = frame.msg.data
    frame.meter.consume_gas(60 + 12 * words(len(data)))
    frame.output = hashlib.sha256(data).digest()


def ripemd160(frame: Frame) -> None:
    data = frame.msg.data
    frame.meter.consume_gas(600 + 120 * words(len(data)))
    frame.output = _ripemd160(data).rjust(32, b"\0")


def _ripemd160(data: Data) -> bytes:
    try:
        return hashlib.new("ripemd160", data).digest()
    except ValueError:  # OpenSSL 3 without its legacy provider
        from Crypto.Hash import RIPEMD160

        return bytes(RIPEMD160.new(data).digest())


def identity(frame: Frame) -> None:
    data = frame.msg.data
    frame.meter.consume_gas(15 + 3 * words(len(data)))
    frame.output = bytes(data)


def modexp(frame: Frame) -> None:
    """Lengths of base, exponent and modulus, then the three (EIP-198, priced by EIP-2565)."""
    data = frame.msg.data
    head = bytes(data[:96]).ljust(96, b"\0")
    base_size, exponent_size, modulus_size = (
        int.from_bytes(head[at : at + 32], "big") for at in (0, 32, 64)
    )
    exponent_at = 96 + base_size
    exponent_head = int.from_bytes(_slice(data, exponent_at, min(exponent_size, 32)), "big")
    iterations = max(exponent_head.bit_length() - 1, 0) + 8 * max(exponent_size - 32, 0)
    complexity = ((max(base_size, modulus_size) + 7) // 8) ** 2
    frame.meter.consume_gas(max(200, complexity * max(iterations, 1) // 3))
    if modulus_size == 0:
        return
    modulus_at = exponent_at + exponent_size
    modulus = int.from_bytes(_slice(data, modulus_at, modulus_size), "big")
    if modulus == 0:
        frame.output = b"\0" * modulus_size
        return
    base = int.from_bytes(_slice(data, 96, base_size), "big")
    exponent = int.from_bytes(_slice(data, exponent_at, exponent_size), "big")
    frame.output = int(powmod(base, exponent, modulus)).to_bytes(modulus_size, "big")


def _slice(data: Data, at: int, size: int) -> bytes:
    """`size` bytes from `at`, zeros where the data has ended. The gas paid bounds `size`."""
    return bytes(data[at : at + size]).ljust(size, b"\0")


def blake2f(frame: Frame) -> None:
    """The BLAKE2b compression function (EIP-152): one gas per round."""
    data = frame.msg.data
    if len(data) != 213 or data[212] > 1:
        raise VMError("invalid input length" if len(data) != 213 else "invalid final flag")
    rounds = int.from_bytes(data[:4], "big")
    frame.meter.consume_gas(rounds)
    values = _BLAKE2F_INPUT.unpack_from(data, 4)
    frame.output = blake2b.compress(rounds, values[:8], values[8:24], values[24:26], values[26])


def _address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


PRECOMPILES: dict[bytes, Precompile] = {
    _address(0x01): ecrecover,
    _address(0x02): sha256,
    _address(0x03): ripemd160,
    _address(0x04): identity,
    _address(0x05): modexp,
    _address(0x06): bn.add,
    _address(0x07): bn.multiply,
    _address(0x08): bn.pairing,
    _address(0x09): blake2f,
    _address(0x0A): kzg.point_evaluation,
    _address(0x0B): bls.g1_add,
    _address(0x0C): bls.g1_msm,
    _address(0x0D): bls.g2_add,
    _address(0x0E): bls.g2_msm,
    _address(0x0F): bls.pairing_check,
    _address(0x10): bls.map_fp_to_g1,
    _address(0x11): bls.map_fp2_to_g2,
    BEACON: beacon,
}
