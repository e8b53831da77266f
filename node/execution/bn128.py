"""alt_bn128 over plain integers: the curve of EIP-196 and the optimal ate pairing of EIP-197.

py_ecc computes over objects per field element, which makes a pairing check cost half a second: at
0.3 Mgas/s a block could hold minutes of them. Here an Fp2 element a + bi is a tuple of two ints, an
Fp6 element three of these (over v, v^3 = 9 + i), an Fp12 element two of those (over w, w^2 = v). The
formulas are those of Beuchat et al., "High-Speed Software Implementation of the Optimal Ate Pairing
over Barreto-Naehrig Curves" (2010), in the form of Go's bn256: twisted Jacobian points (x, y, z, z^2)
and sparse line functions.

Nothing here is secret, so nothing is constant-time.
"""

from collections.abc import Sequence
from typing import TypeAlias

P = 21888242871839275222246405745257275088696311157297823662689037894645226208583
ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617
_U = 4965661367192848881

Fp2: TypeAlias = tuple[int, int]
Fp6: TypeAlias = tuple[Fp2, Fp2, Fp2]
Fp12: TypeAlias = tuple[Fp6, Fp6]
G1: TypeAlias = tuple[int, int]
"""An affine point of y^2 = x^3 + 3; infinity is None."""
G2: TypeAlias = tuple[Fp2, Fp2]
"""An affine point of the twist y^2 = x^3 + 3/(9 + i); infinity is None."""
_Jacobian2: TypeAlias = tuple[Fp2, Fp2, Fp2, Fp2]

_ZERO: Fp2 = (0, 0)
_ONE: Fp2 = (1, 0)
_ZERO6: Fp6 = (_ZERO, _ZERO, _ZERO)
_ONE12: Fp12 = ((_ONE, _ZERO, _ZERO), _ZERO6)


# -- G1


def g1_is_on_curve(point: G1) -> bool:
    x, y = point
    return (y * y - x * x * x - 3) % P == 0


def g1_add(a: G1 | None, b: G1 | None) -> G1 | None:
    """The sum of two affine points."""
    if a is None:
        return b
    if b is None:
        return a
    x1, y1 = a
    x2, y2 = b
    if x1 == x2:
        if (y1 + y2) % P == 0:
            return None
        slope = 3 * x1 * x1 * pow(2 * y1, -1, P) % P
    else:
        slope = (y2 - y1) * pow(x2 - x1, -1, P) % P
    x = (slope * slope - x1 - x2) % P
    return x, (slope * (x1 - x) - y1) % P


def g1_multiply(point: G1 | None, scalar: int) -> G1 | None:
    """`scalar` times an affine point; the group has prime order, so the scalar is taken modulo it."""
    scalar %= ORDER
    if point is None or scalar == 0:
        return None
    px, py = point
    x, y, z = px, py, 1
    for bit in bin(scalar)[3:]:
        # double (dbl-2009-l)
        a = x * x % P
        b = y * y % P
        c = b * b % P
        d = 2 * ((x + b) * (x + b) - a - c) % P
        e = 3 * a
        x3 = (e * e - 2 * d) % P
        z = 2 * y * z % P
        y = (e * (d - x3) - 8 * c) % P
        x = x3
        if bit == "1":
            # add the affine point; equal or opposite points cannot meet below the order
            zz = z * z % P
            h = (px * zz - x) % P
            r = (py * z * zz - y) % P
            if h == 0:
                if r:  # only at the very last step, for scalar = order - 1 + 1
                    return None
                return g1_multiply(g1_add(point, point), scalar // 2)
            hh = h * h % P
            hhh = h * hh % P
            v = x * hh % P
            x = (r * r - hhh - 2 * v) % P
            y = (r * (v - x) - y * hhh) % P
            z = z * h % P
    inverse = pow(z, -1, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


# -- Fp2


def _mul2(a: Fp2, b: Fp2) -> Fp2:
    a0, a1 = a
    b0, b1 = b
    low = a0 * b0
    high = a1 * b1
    return (low - high) % P, ((a0 + a1) * (b0 + b1) - low - high) % P


def _square2(a: Fp2) -> Fp2:
    a0, a1 = a
    return (a0 + a1) * (a0 - a1) % P, 2 * a0 * a1 % P


def _inverse2(a: Fp2) -> Fp2:
    a0, a1 = a
    norm = pow(a0 * a0 + a1 * a1, -1, P)
    return a0 * norm % P, -a1 * norm % P


def _power2(a: Fp2, exponent: int) -> Fp2:
    result = _ONE
    for bit in bin(exponent)[2:]:
        result = _square2(result)
        if bit == "1":
            result = _mul2(result, a)
    return result


_XI: Fp2 = (9, 1)
# xi^(k (p-1)/6): what the Frobenius map multiplies the coefficient of w^k with
_FROBENIUS = tuple(_power2(_XI, k * (P - 1) // 6) for k in range(6))
# xi^(k (p^2-1)/6), which are in Fp: the same for the Frobenius map twice
_FROBENIUS2 = tuple(_mul2(g, (g[0], -g[1]))[0] for g in _FROBENIUS)
_TWIST_B = _mul2((3, 0), _inverse2(_XI))


# -- Fp6


def _mul_xi(a: Fp2) -> Fp2:
    a0, a1 = a
    return 9 * a0 - a1, a0 + 9 * a1


def _add6(a: Fp6, b: Fp6) -> Fp6:
    (a0, a1), (a2, a3), (a4, a5) = a
    (b0, b1), (b2, b3), (b4, b5) = b
    return (a0 + b0, a1 + b1), (a2 + b2, a3 + b3), (a4 + b4, a5 + b5)


def _sub6(a: Fp6, b: Fp6) -> Fp6:
    (a0, a1), (a2, a3), (a4, a5) = a
    (b0, b1), (b2, b3), (b4, b5) = b
    return (a0 - b0, a1 - b1), (a2 - b2, a3 - b3), (a4 - b4, a5 - b5)


def _mul6(a: Fp6, b: Fp6) -> Fp6:
    """Schoolbook over Fp2 with one reduction per coefficient: products are not reduced before sums."""
    (a0, a1), (a2, a3), (a4, a5) = a
    (b0, b1), (b2, b3), (b4, b5) = b
    p0 = a0 * b0
    q0 = a1 * b1
    p1 = a2 * b2
    q1 = a3 * b3
    p2 = a4 * b4
    q2 = a5 * b5
    # Karatsuba over v, each product an unreduced Fp2 element
    r0, i0 = p0 - q0, (a0 + a1) * (b0 + b1) - p0 - q0
    r1, i1 = p1 - q1, (a2 + a3) * (b2 + b3) - p1 - q1
    r2, i2 = p2 - q2, (a4 + a5) * (b4 + b5) - p2 - q2
    s0, s1, t0, t1 = a2 + a4, a3 + a5, b2 + b4, b3 + b5
    p, q = s0 * t0, s1 * t1
    r12, i12 = p - q - r1 - r2, (s0 + s1) * (t0 + t1) - p - q - i1 - i2
    s0, s1, t0, t1 = a0 + a2, a1 + a3, b0 + b2, b1 + b3
    p, q = s0 * t0, s1 * t1
    r01, i01 = p - q - r0 - r1, (s0 + s1) * (t0 + t1) - p - q - i0 - i1
    s0, s1, t0, t1 = a0 + a4, a1 + a5, b0 + b4, b1 + b5
    p, q = s0 * t0, s1 * t1
    r02, i02 = p - q - r0 - r2, (s0 + s1) * (t0 + t1) - p - q - i0 - i2
    return (
        ((r0 + 9 * r12 - i12) % P, (i0 + r12 + 9 * i12) % P),
        ((r01 + 9 * r2 - i2) % P, (i01 + r2 + 9 * i2) % P),
        ((r02 + r1) % P, (i02 + i1) % P),
    )


def _mul6_v(a: Fp6) -> Fp6:
    return _mul_xi(a[2]), a[0], a[1]


def _inverse6(a: Fp6) -> Fp6:
    x, y, z = a
    c0 = _sub2(_square2(x), _mul_xi(_mul2(y, z)))
    c1 = _sub2(_mul_xi(_square2(z)), _mul2(x, y))
    c2 = _sub2(_square2(y), _mul2(x, z))
    cross = _mul_xi(_add2(_mul2(z, c1), _mul2(y, c2)))
    factor = _inverse2(_add2(_mul2(x, c0), cross))
    return _mul2(c0, factor), _mul2(c1, factor), _mul2(c2, factor)


def _add2(a: Fp2, b: Fp2) -> Fp2:
    return a[0] + b[0], a[1] + b[1]


def _sub2(a: Fp2, b: Fp2) -> Fp2:
    return a[0] - b[0], a[1] - b[1]


# -- Fp12


def _mul12(a: Fp12, b: Fp12) -> Fp12:
    low = _mul6(a[0], b[0])
    high = _mul6(a[1], b[1])
    middle = _mul6(_add6(a[0], a[1]), _add6(b[0], b[1]))
    return _add6(low, _mul6_v(high)), _sub6(_sub6(middle, low), high)


def _square12(a: Fp12) -> Fp12:
    x, y = a
    cross = _mul6(x, y)
    whole = _mul6(_add6(x, y), _add6(x, _mul6_v(y)))
    return _sub6(_sub6(whole, cross), _mul6_v(cross)), _add6(cross, cross)


def _conjugate12(a: Fp12) -> Fp12:
    return a[0], _sub6(_ZERO6, a[1])


def _inverse12(a: Fp12) -> Fp12:
    x, y = a
    factor = _inverse6(_sub6(_mul6(x, x), _mul6_v(_mul6(y, y))))
    return _mul6(x, factor), _mul6(_sub6(_ZERO6, y), factor)


def _frobenius(a: Fp12) -> Fp12:
    (c0, c2, c4), (c1, c3, c5) = a

    def of(c: Fp2, k: int) -> Fp2:
        return _mul2((c[0], -c[1]), _FROBENIUS[k])

    return (of(c0, 0), of(c2, 2), of(c4, 4)), (of(c1, 1), of(c3, 3), of(c5, 5))


def _frobenius2(a: Fp12) -> Fp12:
    (c0, c2, c4), (c1, c3, c5) = a

    def of(c: Fp2, k: int) -> Fp2:
        factor = _FROBENIUS2[k]
        return c[0] * factor % P, c[1] * factor % P

    return (of(c0, 0), of(c2, 2), of(c4, 4)), (of(c1, 1), of(c3, 3), of(c5, 5))


def _power_u(a: Fp12) -> Fp12:
    result = a
    for bit in bin(_U)[3:]:
        result = _square12(result)
        if bit == "1":
            result = _mul12(result, a)
    return result
