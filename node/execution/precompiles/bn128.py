"""alt_bn128 over plain integers: the group of EIP-196 and the fields of the pairing of EIP-197.

py_ecc computes over objects per field element, which makes a pairing check cost half a second: at
0.3 Mgas/s a block could hold minutes of them. Here an Fp2 element a + bi is a tuple of two ints, an
Fp6 element three of these (over v, v^3 = 9 + i), an Fp12 element two of those (over w, w^2 = v). Field
elements need not be reduced, or positive, between operations.

The integers are GMP's where it matters, which multiplies three times and inverts fifteen times as fast
as Python: what is reduced modulo `P` is, as `P` is.

Nothing here is secret, so nothing is constant-time.
"""

from typing import TypeAlias

from gmpy2 import mpz

P: int = mpz(21888242871839275222246405745257275088696311157297823662689037894645226208583)
ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617
U = 4965661367192848881

Fp2: TypeAlias = tuple[int, int]
Fp6: TypeAlias = tuple[Fp2, Fp2, Fp2]
Fp12: TypeAlias = tuple[Fp6, Fp6]
G1: TypeAlias = tuple[int, int]
"""An affine point of y^2 = x^3 + 3; infinity is None."""
G2: TypeAlias = tuple[Fp2, Fp2]
"""An affine point of the twist y^2 = x^3 + 3/(9 + i); infinity is None."""

ZERO: Fp2 = (0, 0)
ONE: Fp2 = (1, 0)
ZERO6: Fp6 = (ZERO, ZERO, ZERO)
ONE12: Fp12 = ((ONE, ZERO, ZERO), ZERO6)


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
        # doubling: dbl-2009-l of the Explicit-Formulas Database
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
            # add the affine point; it is not met itself, nor its negative: all multiples that come up
            # are even and below the order, which is odd
            zz = z * z % P
            h = (px * zz - x) % P
            r = (py * z * zz - y) % P
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


def mul2(a: Fp2, b: Fp2) -> Fp2:
    a0, a1 = a
    b0, b1 = b
    low = a0 * b0
    high = a1 * b1
    return (low - high) % P, ((a0 + a1) * (b0 + b1) - low - high) % P


def square2(a: Fp2) -> Fp2:
    a0, a1 = a
    return (a0 + a1) * (a0 - a1) % P, 2 * a0 * a1 % P


def inverse2(a: Fp2) -> Fp2:
    a0, a1 = a
    norm = pow(a0 * a0 + a1 * a1, -1, P)
    return a0 * norm % P, -a1 * norm % P


def power2(a: Fp2, exponent: int) -> Fp2:
    result = ONE
    for bit in bin(exponent)[2:]:
        result = square2(result)
        if bit == "1":
            result = mul2(result, a)
    return result


XI: Fp2 = (9, 1)
# xi^(k (p-1)/6): what the Frobenius map multiplies the coefficient of w^k with
FROBENIUS = tuple(power2(XI, k * (P - 1) // 6) for k in range(6))
# xi^(k (p^2-1)/6), which are in Fp: the same for the Frobenius map twice
FROBENIUS2 = tuple(mul2(g, (g[0], -g[1]))[0] for g in FROBENIUS)
TWIST_B = mul2((3, 0), inverse2(XI))


# -- Fp6


def mul_xi(a: Fp2) -> Fp2:
    a0, a1 = a
    return 9 * a0 - a1, a0 + 9 * a1


def add6(a: Fp6, b: Fp6) -> Fp6:
    (a0, a1), (a2, a3), (a4, a5) = a
    (b0, b1), (b2, b3), (b4, b5) = b
    return (a0 + b0, a1 + b1), (a2 + b2, a3 + b3), (a4 + b4, a5 + b5)


def sub6(a: Fp6, b: Fp6) -> Fp6:
    (a0, a1), (a2, a3), (a4, a5) = a
    (b0, b1), (b2, b3), (b4, b5) = b
    return (a0 - b0, a1 - b1), (a2 - b2, a3 - b3), (a4 - b4, a5 - b5)


def mul6(a: Fp6, b: Fp6) -> Fp6:
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


def mul6_v(a: Fp6) -> Fp6:
    return mul_xi(a[2]), a[0], a[1]


def inverse6(a: Fp6) -> Fp6:
    x, y, z = a
    c0 = sub2(square2(x), mul_xi(mul2(y, z)))
    c1 = sub2(mul_xi(square2(z)), mul2(x, y))
    c2 = sub2(square2(y), mul2(x, z))
    cross = mul_xi(add2(mul2(z, c1), mul2(y, c2)))
    factor = inverse2(add2(mul2(x, c0), cross))
    return mul2(c0, factor), mul2(c1, factor), mul2(c2, factor)


def add2(a: Fp2, b: Fp2) -> Fp2:
    return a[0] + b[0], a[1] + b[1]


def sub2(a: Fp2, b: Fp2) -> Fp2:
    return a[0] - b[0], a[1] - b[1]


# -- Fp12


def mul12(a: Fp12, b: Fp12) -> Fp12:
    low = mul6(a[0], b[0])
    high = mul6(a[1], b[1])
    middle = mul6(add6(a[0], a[1]), add6(b[0], b[1]))
    return add6(low, mul6_v(high)), sub6(sub6(middle, low), high)


def square12(a: Fp12) -> Fp12:
    x, y = a
    cross = mul6(x, y)
    whole = mul6(add6(x, y), add6(x, mul6_v(y)))
    return sub6(sub6(whole, cross), mul6_v(cross)), add6(cross, cross)


def conjugate12(a: Fp12) -> Fp12:
    return a[0], sub6(ZERO6, a[1])


def inverse12(a: Fp12) -> Fp12:
    x, y = a
    factor = inverse6(sub6(mul6(x, x), mul6_v(mul6(y, y))))
    return mul6(x, factor), mul6(sub6(ZERO6, y), factor)


def frobenius(a: Fp12) -> Fp12:
    (c0, c2, c4), (c1, c3, c5) = a

    def of(c: Fp2, k: int) -> Fp2:
        return mul2((c[0], -c[1]), FROBENIUS[k])

    return (of(c0, 0), of(c2, 2), of(c4, 4)), (of(c1, 1), of(c3, 3), of(c5, 5))


def frobenius2(a: Fp12) -> Fp12:
    (c0, c2, c4), (c1, c3, c5) = a

    def of(c: Fp2, k: int) -> Fp2:
        factor = FROBENIUS2[k]
        return c[0] * factor % P, c[1] * factor % P

    return (of(c0, 0), of(c2, 2), of(c4, 4)), (of(c1, 1), of(c3, 3), of(c5, 5))


def power_u(a: Fp12) -> Fp12:
    result = a
    for bit in bin(U)[3:]:
        result = square12(result)
        if bit == "1":
            result = mul12(result, a)
    return result
