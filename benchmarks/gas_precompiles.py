"""Blocks full of calls to one precompile."""

from random import Random

from benchmarks.gas_blocks import MILLION, OR_FAIL, BlockFiller, ops, repeat
from benchmarks.gas_inputs import bn_g1, bn_g2, ecrecover_input, kzg_input
from tests.conformance.differential.inputs import bls, bls_point, bn128


def _precompile(
    name: str, number: int, data: bytes, *, out: int = 64, gas: int = MILLION
) -> BlockFiller:
    before = ops("CALLDATASIZE 0 0 CALLDATACOPY")
    behind = (len(data) + 31) // 32 * 32  # the output must not overwrite the input
    body = ops(f"{out} {behind} {len(data)} 0 {number} GAS STATICCALL") + OR_FAIL
    return BlockFiller(
        name=f"precompile {number:#04x} {name}",
        code=repeat(body, before=before, most=1, reserve=gas // 2),
        data=data,
        gas=gas,
    )


def _modexp(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    sizes = b"".join(len(part).to_bytes(32, "big") for part in (base, exponent, modulus))
    return sizes + base + exponent + modulus


def precompile_fillers() -> list[BlockFiller]:
    rng = Random(5)
    made = [
        _precompile("ecrecover", 1, ecrecover_input()),
        _precompile("ecrecover, no signature", 1, b"\xff" * 128),
        _precompile("blake2f, 0 rounds", 9, bytes(212) + b"\1"),
        _precompile("blake2f, 12 rounds", 9, (12).to_bytes(4, "big") + b"\xa5" * 208 + b"\1"),
        _precompile(
            "blake2f, 100,000 rounds", 9, (100_000).to_bytes(4, "big") + b"\xa5" * 208 + b"\1"
        ),
        _precompile("KZG", 0x0A, kzg_input()),
    ]
    for size in (0, 32, 1000, 20_000):
        data = b"\xa5" * size
        made += [
            _precompile(f"sha256 of {size}", 2, data),
            _precompile(f"ripemd160 of {size}", 3, data),
            _precompile(f"identity of {size}", 4, data),
        ]
    for size, exponent_size in (
        (1, 1), (8, 75), (8, 0), (16, 40), (32, 32), (64, 64), (128, 128), (256, 256), (512, 32),
        (512, 512), (1024, 1), (1024, 32), (200, 3),
    ):  # fmt: skip
        exponent = b"\xff" * exponent_size
        base = b"\xef" * size  # not 1 modulo what follows: that would be over at once
        odd = rng.randbytes(size - 1) + b"\xfb" if size > 1 else b"\xfb"
        even = b"\xff" * (size - 1) + b"\xfe" if size > 1 else b"\xfe"
        for kind, modulus in (("odd", odd), ("even", even)):
            made.append(
                _precompile(
                    f"modexp {size} bytes ^ {exponent_size}, {kind}",
                    5,
                    _modexp(base, exponent, modulus),
                    gas=30 * MILLION if size * exponent_size > 200_000 else 4 * MILLION,
                )
            )
    one, two = bn_g1(multiply_by=977), bn_g1(multiply_by=12345)
    made += [
        _precompile("bn128 add", 6, one + two),
        _precompile("bn128 add, doubling", 6, one + one),
        _precompile("bn128 multiply", 7, one + (bn128.curve_order - 1).to_bytes(32, "big")),
        _precompile("bn128 multiply by 2^256-1", 7, one + b"\xff" * 32),
        _precompile("bn128 pairing of nothing", 8, b""),
    ]
    for count in (1, 2, 10, 30):
        pairs = b"".join(bn_g1(multiply_by=n + 2) + bn_g2(multiply_by=n + 3) for n in range(count))
        made.append(_precompile(f"bn128 pairing of {count}", 8, pairs, gas=4 * MILLION))
    g1 = [bls_point(bls.multiply(bls.G1, n)) for n in range(3, 131)]
    g2 = [bls_point(bls.multiply(bls.G2, n)) for n in range(3, 131)]
    scalar = b"\xff" * 32
    made += [
        _precompile("BLS G1 add", 0x0B, g1[0] + g1[1]),
        _precompile("BLS G2 add", 0x0D, g2[0] + g2[1]),
        _precompile("BLS map to G1", 0x10, bytes(16) + b"\x11" * 48),
        _precompile("BLS map to G2", 0x11, (bytes(16) + b"\x11" * 48) * 2),
    ]
    for count in (1, 2, 16, 128):
        made += [
            _precompile(
                f"BLS G1 MSM of {count}",
                0x0C,
                b"".join(p + scalar for p in g1[:count]),
                gas=4 * MILLION,
            ),
            _precompile(
                f"BLS G2 MSM of {count}",
                0x0E,
                b"".join(p + scalar for p in g2[:count]),
                gas=5 * MILLION,
            ),
        ]
    for count in (1, 2, 8, 30):
        pairs = b"".join(a + b for a, b in zip(g1[:count], g2[:count], strict=True))
        made.append(_precompile(f"BLS pairing of {count}", 0x0F, pairs, gas=4 * MILLION))
    return made
