"""alt_bn128 over plain integers against py_ecc, and the edges of the groups."""

import random

import pytest
from py_ecc import optimized_bn128 as reference

from node.execution.precompiles import bn128
from node.execution.precompiles.bn128 import G1, G2, ORDER, P, g1_add, g1_is_on_curve, g1_multiply
from node.execution.precompiles.bn128_pairing import g2_is_member, pairing_is_one
from tests.support.effort import examples

ONE: G1 = (1, 2)


def affine(point: object) -> G1 | None:
    if reference.is_inf(point):
        return None
    x, y = reference.normalize(point)
    return x.n, y.n


def affine2(point: object) -> G2:
    x, y = reference.normalize(point)
    (x0, x1), (y0, y1) = x.coeffs, y.coeffs
    return (int(x0), int(x1)), (int(y0), int(y1))


GENERATOR2 = affine2(reference.G2)


@pytest.mark.parametrize("k", [0, 1, 2, 3, 5, ORDER - 2, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1])
def test_edge_multiples(k: int) -> None:
    assert g1_multiply(ONE, k) == affine(reference.multiply(reference.G1, k))


def test_random_sums_and_multiples() -> None:
    rng = random.Random(7)
    for _ in range(examples(10)):
        k, m = rng.randrange(1, ORDER), rng.randrange(1, ORDER)
        a = reference.multiply(reference.G1, k)
        b = reference.multiply(reference.G1, m)
        assert g1_multiply(affine(a), m) == affine(reference.multiply(a, m))
        assert g1_add(affine(a), affine(b)) == affine(reference.add(a, b))


def test_sums_with_infinity_itself_and_the_negative() -> None:
    assert g1_add(ONE, None) == g1_add(None, ONE) == ONE
    assert g1_add(ONE, ONE) == affine(reference.double(reference.G1))
    assert g1_add(ONE, (1, P - 2)) is None
    assert g1_multiply(None, 5) is None
    assert g1_is_on_curve(ONE)
    assert not g1_is_on_curve((1, 3))


def test_the_pairing_is_bilinear_and_not_degenerate() -> None:
    rng = random.Random(11)
    assert pairing_is_one([])
    assert pairing_is_one([(None, GENERATOR2), (ONE, None)])
    assert not pairing_is_one([(ONE, GENERATOR2)])
    for _ in range(3):
        a, b = rng.randrange(1, ORDER), rng.randrange(1, ORDER)
        q = affine2(reference.multiply(reference.G2, b))
        left = (g1_multiply(ONE, a), q)
        assert pairing_is_one([left, (g1_multiply(ONE, -a * b), GENERATOR2)])
        assert not pairing_is_one([left, (g1_multiply(ONE, -a * b + 1), GENERATOR2)])


@pytest.mark.slow
def test_the_pairing_is_py_eccs() -> None:
    """Both libraries agree on which of many products are one, so their kernels are the same."""
    p, q = affine(reference.multiply(reference.G1, 5)), affine2(reference.multiply(reference.G2, 3))
    for k in (14, 15, 16):
        ours = pairing_is_one([(p, q), (g1_multiply(ONE, -k), GENERATOR2)])
        theirs = reference.pairing(
            reference.multiply(reference.G2, 3), reference.multiply(reference.G1, 5)
        ) == reference.pairing(reference.G2, reference.multiply(reference.G1, k))
        assert ours == theirs == (k == 15)


@pytest.mark.slow
def test_membership_of_the_second_group() -> None:
    assert g2_is_member(GENERATOR2)
    assert g2_is_member(affine2(reference.multiply(reference.G2, ORDER - 1)))
    (x, y) = GENERATOR2
    assert not g2_is_member((x, (y[0] + 1, y[1])))
    # on the twist and not in the subgroup: found by taking square roots of x^3 + b
    outside = [point for n in range(1, 12) if (point := twist_point((n, 5))) is not None]
    assert outside
    for point in outside:
        fq2 = (reference.FQ2(point[0]), reference.FQ2(point[1]), reference.FQ2.one())
        assert reference.is_on_curve(fq2, reference.b2)
        assert not g2_is_member(point)
        # and of small order, where additions meet equal points
        small = reference.multiply(fq2, ORDER * ((2 * P - ORDER) // 10069))
        if not reference.is_inf(small):
            assert not g2_is_member(affine2(small))


def twist_point(x: tuple[int, int]) -> G2 | None:
    a0, a1 = bn128.add2(bn128.mul2(bn128.square2(x), x), bn128.TWIST_B)
    norm = pow((a0 * a0 + a1 * a1) % P, (P + 1) // 4, P)
    for sign in (1, -1):
        half = (a0 + sign * norm) * pow(2, -1, P) % P
        y0 = pow(half, (P + 1) // 4, P)
        if y0 == 0:
            continue
        y = (y0, a1 * pow(2 * y0, -1, P) % P)
        if bn128.square2(y) == (a0 % P, a1 % P):
            return x, y
    return None
