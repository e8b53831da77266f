"""Inputs of the precompiled contracts: valid ones, edges, and damaged ones."""

import functools
import hashlib
from pathlib import Path
from random import Random
from typing import Any

import ckzg
import py_ecc.bn128
import py_ecc.optimized_bls12_381

from node.primitives.keys import CURVE_ORDER, SigningKey

# py_ecc's types are in the way of those who only want its numbers
bn128: Any = py_ecc.bn128
bls: Any = py_ecc.optimized_bls12_381
BLS_P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
BLS_R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
KZG_R = BLS_R


def word(value: int) -> bytes:
    return (value % (1 << 256)).to_bytes(32, "big")


@functools.cache
def _bn_g1() -> tuple[bytes, ...]:
    points = [bn128.multiply(bn128.G1, n) for n in (1, 2, 3, 977)]
    points.append(bn128.neg(points[0]))
    return (bytes(64), *(word(int(x)) + word(int(y)) for x, y in points))


@functools.cache
def _bn_g2() -> tuple[bytes, ...]:
    points = [bn128.multiply(bn128.G2, n) for n in (1, 2, 5)]
    encoded = [
        b"".join(word(int(c)) for c in (x.coeffs[1], x.coeffs[0], y.coeffs[1], y.coeffs[0]))
        for x, y in points
    ]
    return (bytes(128), *encoded)


def _field(value: int) -> bytes:
    return int(value).to_bytes(64, "big")


def bls_point(point: Any) -> bytes:
    """A point of G1 or G2 as EIP-2537 encodes it."""
    x, y = bls.normalize(point)
    parts = (x.n, y.n) if hasattr(x, "n") else (*x.coeffs, *y.coeffs)
    return b"".join(_field(part) for part in parts)


@functools.cache
def _bls_g1() -> tuple[bytes, ...]:
    points = [bls.multiply(bls.G1, n) for n in (1, 2, 3, 977)]
    # (0, 2) is on the curve and not in the subgroup
    outside = _field(0) + _field(2)
    return (bytes(128), outside, *(bls_point(p) for p in (*points, *points, bls.neg(bls.G1))))


@functools.cache
def _bls_g2() -> tuple[bytes, ...]:
    return (bytes(256), *(bls_point(bls.multiply(bls.G2, n)) for n in (1, 2, 5)))


@functools.cache
def kzg_setup() -> Any:
    """The setup of the ceremony, which py-evm ships; loading it takes seconds."""
    import eth._utils

    path = Path(next(iter(eth._utils.__path__))) / "kzg_trusted_setup.txt"
    return ckzg.load_trusted_setup(str(path), 0)


@functools.cache
def _kzg() -> tuple[bytes, ...]:
    """Evaluations of a blob that has one field element set."""
    setup = kzg_setup()
    blob = bytearray(131_072)
    blob[31] = 7
    commitment = ckzg.blob_to_kzg_commitment(bytes(blob), setup)
    versioned = b"\x01" + hashlib.sha256(commitment).digest()[1:]
    out = []
    for z in (word(0), word(1), word(12345)):
        proof, y = ckzg.compute_kzg_proof(bytes(blob), z, setup)
        out.append(versioned + z + y + commitment + proof)
    return tuple(out)


def ecrecover(rng: Random) -> bytes:
    digest = rng.randbytes(32)
    signature = SigningKey(word(rng.randrange(1, CURVE_ORDER))).sign_digest(digest)
    r, s, v = signature[:32], signature[32:64], 27 + signature[64]
    kind = rng.randrange(8)
    if kind == 0:
        s = word(CURVE_ORDER - int.from_bytes(s, "big"))
        v = 55 - v
    elif kind == 1:
        r = word(rng.choice((0, 1, CURVE_ORDER - 1, CURVE_ORDER, CURVE_ORDER + 1)))
    elif kind == 2:
        s = word(rng.choice((0, 1, CURVE_ORDER - 1, CURVE_ORDER, CURVE_ORDER + 1)))
    elif kind == 3:
        v = rng.choice((0, 1, 26, 29, 27 + 256, 1 << 255))
    return digest + word(v) + r + s


def modexp(rng: Random) -> bytes:
    def size() -> int:
        return rng.choice((0, 0, 1, 1, 2, 8, 31, 32, 33, 40, 64, 65, 96))

    sizes = [size(), size(), size()]
    if rng.random() < 0.1:
        sizes = [0, 0, rng.choice((1, 2, 33))]
    parts = [
        rng.choice(
            (bytes(n), rng.randbytes(n), b"\xff" * n, bytes(max(n - 1, 0)) + b"\1" * min(n, 1))
        )
        for n in sizes
    ]
    if rng.random() < 0.05:
        sizes[rng.randrange(3)] = rng.choice((1 << 64, (1 << 256) - 1, 1 << 31, 2000))
    return b"".join(word(n) for n in sizes) + b"".join(parts)


def blake2f(rng: Random) -> bytes:
    rounds = rng.choice((0, 1, 2, 10, 12, 13, 25, 300, 0xFFFFFFFF))
    final = rng.choice((0, 1, 1, 2))
    return rounds.to_bytes(4, "big") + rng.randbytes(208) + bytes([final])


def _coordinate(rng: Random, modulus: int) -> int:
    return rng.choice((0, 1, 2, modulus - 1, modulus, modulus + 1, rng.randrange(modulus)))


def bn_add(rng: Random) -> bytes:
    return rng.choice(_bn_g1()) + rng.choice(_bn_g1())


def bn_multiply(rng: Random) -> bytes:
    order = bn128.curve_order
    scalar = rng.choice(
        (0, 1, 2, order - 1, order, order + 1, (1 << 256) - 1, rng.getrandbits(256))
    )
    return rng.choice(_bn_g1()) + word(scalar)


def bn_pairing(rng: Random) -> bytes:
    if rng.random() < 0.3:
        g1, g2 = _bn_g1(), _bn_g2()
        return g1[1] + g2[1] + g1[-1] + g2[1]  # e(P, Q) e(-P, Q) = 1
    count = rng.choice((0, 1, 1, 2))
    return b"".join(rng.choice(_bn_g1()) + rng.choice(_bn_g2()) for _ in range(count))


def kzg(rng: Random) -> bytes:
    return rng.choice(_kzg())


def bls_g1_add(rng: Random) -> bytes:
    return rng.choice(_bls_g1()) + rng.choice(_bls_g1())


def _scalar(rng: Random) -> bytes:
    return word(
        rng.choice((0, 1, 2, BLS_R - 1, BLS_R, BLS_R + 1, (1 << 256) - 1, rng.getrandbits(256)))
    )


def bls_g1_msm(rng: Random) -> bytes:
    count = rng.choice((0, 1, 1, 2, 3))
    return b"".join(rng.choice(_bls_g1()) + _scalar(rng) for _ in range(count))


def bls_g2_add(rng: Random) -> bytes:
    return rng.choice(_bls_g2()) + rng.choice(_bls_g2())


def bls_g2_msm(rng: Random) -> bytes:
    count = rng.choice((0, 1, 1, 2))
    return b"".join(rng.choice(_bls_g2()) + _scalar(rng) for _ in range(count))


def bls_pairing(rng: Random) -> bytes:
    if rng.random() < 0.3:
        g1, g2 = _bls_g1(), _bls_g2()
        return g1[2] + g2[1] + g1[-1] + g2[1]
    count = rng.choice((0, 1, 1))
    return b"".join(rng.choice(_bls_g1()) + rng.choice(_bls_g2()) for _ in range(count))


def bls_map_g1(rng: Random) -> bytes:
    return _field(_coordinate(rng, BLS_P))


def bls_map_g2(rng: Random) -> bytes:
    return _field(_coordinate(rng, BLS_P)) + _field(_coordinate(rng, BLS_P))


def some_bytes(rng: Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 31, 32, 33, 64, 200)))


GENERATORS = {
    0x01: ecrecover,
    0x02: some_bytes,
    0x03: some_bytes,
    0x04: some_bytes,
    0x05: modexp,
    0x06: bn_add,
    0x07: bn_multiply,
    0x08: bn_pairing,
    0x09: blake2f,
    0x0A: kzg,
    0x0B: bls_g1_add,
    0x0C: bls_g1_msm,
    0x0D: bls_g2_add,
    0x0E: bls_g2_msm,
    0x0F: bls_pairing,
    0x10: bls_map_g1,
    0x11: bls_map_g2,
}
# how often a program calls each: pairings cost the slow engines tenths of a second
WEIGHTS = {
    **dict.fromkeys(GENERATORS, 8),
    0x01: 20, 0x04: 15, 0x05: 30, 0x08: 0.4, 0x0A: 1, 0x0C: 0.5, 0x0E: 0.4, 0x0F: 0.2,
    0x0B: 3, 0x0D: 3, 0x07: 4, 0x10: 0.5, 0x11: 0.4,
}  # fmt: skip


def precompile_input(rng: Random, number: int) -> bytes:
    """An input for precompile `number`; one in five is damaged."""
    data = GENERATORS[number](rng)
    kind = rng.randrange(20)
    if kind == 0:
        data = data[: rng.randrange(len(data) + 1)]
    elif kind == 1:
        data += rng.randbytes(rng.choice((1, 31, 32)))
    elif kind == 2 and data:
        at = rng.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    elif kind == 3:
        data = bytes(len(data))
    return data
