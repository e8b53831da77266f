"""The point evaluation precompile against ckzg, which has the whole trusted setup."""

from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import ckzg
import eth._utils
import pytest

from node.execution.precompiles.kzg import BLS_MODULUS, verify_opening

pytestmark = pytest.mark.slow

INFINITY = b"\xc0" + bytes(47)


@cache
def setup() -> Any:
    path = Path(next(iter(eth._utils.__path__))) / "kzg_trusted_setup.txt"
    return ckzg.load_trusted_setup(str(path), 0)


@cache
def opening(seed: int) -> tuple[bytes, bytes, bytes, bytes]:
    """A valid one: commitment, z, y, proof."""
    rng = Random(seed)
    blob = b"".join(rng.randrange(BLS_MODULUS).to_bytes(32, "big") for _ in range(4096))
    if seed == 0:
        blob = bytes(131_072)
    z = rng.randrange(BLS_MODULUS).to_bytes(32, "big")
    commitment = ckzg.blob_to_kzg_commitment(blob, setup())
    proof, y = ckzg.compute_kzg_proof(blob, z, setup())
    return commitment, z, y, proof


def by_ckzg(parts: tuple[bytes, ...]) -> bool:
    try:
        return bool(ckzg.verify_kzg_proof(*parts, setup()))
    except (RuntimeError, ValueError):
        return False


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_valid_opening(seed: int) -> None:
    parts = opening(seed)
    assert verify_opening(*parts)
    assert by_ckzg(parts)


def test_the_zero_polynomial() -> None:
    assert verify_opening(INFINITY, bytes(31) + b"\5", bytes(32), INFINITY)
    assert not verify_opening(INFINITY, bytes(31) + b"\5", bytes(31) + b"\1", INFINITY)


def test_other_encodings_of_the_same_values_are_refused() -> None:
    commitment, z, y, proof = opening(1)
    larger = [int.from_bytes(part, "big") + BLS_MODULUS for part in (z, y)]
    assert not verify_opening(commitment, larger[0].to_bytes(32, "big"), y, proof)
    assert not verify_opening(commitment, z, larger[1].to_bytes(32, "big"), proof)
    zero = (INFINITY, z, bytes(32), INFINITY)
    for flags in (0x00, 0x40, 0x80, 0xA0, 0xE0):
        parts = (bytes([flags]) + bytes(47), *zero[1:])
        assert verify_opening(*parts) == by_ckzg(parts) is False


def test_damaged_openings_are_judged_as_by_ckzg() -> None:
    rng = Random(9)
    outcomes = []
    for _ in range(300):
        parts = [bytearray(part) for part in opening(rng.randrange(3))]
        part = rng.choice(parts)
        kind = rng.randrange(5)
        if kind == 0:
            part[0] ^= 1 << rng.randrange(5, 8)
        elif kind == 1:
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
        elif kind == 2:
            part[:] = b"\xff" * len(part)
        elif kind == 3:
            part[:] = INFINITY[: len(part)]
        else:  # some point of the curve, as a rule outside the subgroup
            part[:] = (
                (rng.choice((0x80, 0xA0)) << 8 * (len(part) - 1) | rng.getrandbits(376)).to_bytes(
                    len(part), "big"
                )
                if len(part) == 48
                else rng.randbytes(32)
            )
        frozen = tuple(map(bytes, parts))
        ours = verify_opening(*frozen)
        assert ours == by_ckzg(frozen), [part.hex() for part in frozen]
        outcomes.append(ours)
    assert any(outcomes)
    assert not all(outcomes)
