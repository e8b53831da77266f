"""The optimal ate pairing of alt_bn128 (EIP-197).

The formulas are those of Beuchat et al., "High-Speed Software Implementation of the Optimal Ate Pairing
over Barreto-Naehrig Curves" (2010), in the form of Go's bn256: Jacobian points (x, y, z, z^2) on the
twist, and lines c + (b + a v) w that are multiplied in sparsely.
"""

from collections.abc import Iterable
from typing import TypeAlias

from node.execution.precompiles.bn128 import (
    FROBENIUS,
    FROBENIUS2,
    G1,
    G2,
    ONE,
    ONE12,
    TWIST_B,
    Fp2,
    Fp6,
    Fp12,
    P,
    U,
    add2,
    add6,
    conjugate12,
    frobenius,
    frobenius2,
    inverse12,
    mul2,
    mul6_v,
    mul12,
    mul_xi,
    power_u,
    square2,
    square12,
    sub2,
    sub6,
)

_Point: TypeAlias = tuple[Fp2, Fp2, Fp2, Fp2]
_Line: TypeAlias = tuple[Fp2, Fp2, Fp2]


def _signed_digits(value: int) -> list[int]:
    """The non-adjacent form, least significant first."""
    digits = []
    while value:
        digit = 2 - value % 4 if value & 1 else 0
        digits.append(digit)
        value = (value - digit) // 2
    return digits


_LOOP = _signed_digits(6 * U + 2)[-2::-1]
_TRACE_LESS_ONE = bin(6 * U * U)[3:]


def pairing_is_one(pairs: Iterable[tuple[G1 | None, G2 | None]]) -> bool:
    """True if the product of the pairings e(p, q) is one. Points must be of their groups."""
    value = ONE12
    for p, q in pairs:
        if p is not None and q is not None:
            value = mul12(value, _miller(q, p))
    return _reduced(_final_exponentiation(value)) == ONE12


def g2_is_member(point: G2) -> bool:
    """True if an affine point is on the twist and in the subgroup of prime order r.

    The test is psi(Q) = [t - 1] Q, psi being the twisted Frobenius map and t the trace: with psi^2 - t psi + p
    = 0 it gives [p + 1 - t] Q = 0, and p + 1 - t is r.
    """
    x, y = point
    if _reduced2(sub2(sub2(square2(y), mul2(square2(x), x)), TWIST_B)) != (0, 0):
        return False
    r: _Point = (x, y, ONE, ONE)
    y_squared = square2(y)
    for bit in _TRACE_LESS_ONE:
        r, _ = _double(r, (0, 0))
        if bit == "1":
            r, _ = _add(r, point, (0, 0), y_squared)
    # a point that is not of the group may meet itself, which leaves z = 0 and is refused here
    rx, ry, rz, rt = r
    px, py = _psi(point)
    if _reduced2(rz) == (0, 0):
        return False
    same_x = _reduced2(sub2(mul2(px, rt), rx)) == (0, 0)
    return same_x and _reduced2(sub2(mul2(py, mul2(rt, rz)), ry)) == (0, 0)


def _psi(point: G2) -> G2:
    x, y = point
    return mul2((x[0], -x[1]), FROBENIUS[2]), mul2((y[0], -y[1]), FROBENIUS[3])


def _miller(q: G2, p: G1) -> Fp12:
    value = ONE12
    minus_q = (q[0], (-q[1][0], -q[1][1]))
    q_squared = square2(q[1])
    r: _Point = (q[0], q[1], ONE, ONE)
    for digit in _LOOP:
        r, line = _double(r, p)
        value = _mul_line(square12(value), line)
        if digit:
            r, line = _add(r, q if digit == 1 else minus_q, p, q_squared)
            value = _mul_line(value, line)
    first = _psi(q)
    r, line = _add(r, first, p, square2(first[1]))
    value = _mul_line(value, line)
    factor = FROBENIUS2[2]  # -psi^2(q): the y coordinate's two signs cancel
    second = ((q[0][0] * factor % P, q[0][1] * factor % P), q[1])
    _, line = _add(r, second, p, q_squared)
    return _mul_line(value, line)


def _double(r: _Point, p: G1) -> tuple[_Point, _Line]:
    """2r and the tangent at r, evaluated at p."""
    rx, ry, rz, rt = r
    px, py = p
    a = square2(rx)
    b = square2(ry)
    c = square2(b)
    d0, d1 = sub2(sub2(square2(add2(rx, b)), a), c)
    d = (2 * d0, 2 * d1)
    e = (3 * a[0], 3 * a[1])
    g = square2(e)
    x = ((g[0] - 2 * d[0]) % P, (g[1] - 2 * d[1]) % P)
    z = sub2(sub2(square2(add2(ry, rz)), b), rt)
    m0, m1 = mul2(sub2(d, x), e)
    y = ((m0 - 8 * c[0]) % P, (m1 - 8 * c[1]) % P)
    t = square2(z)
    s0, s1 = mul2(e, rt)
    line_b = (-2 * s0 * px % P, -2 * s1 * px % P)
    w0, w1 = square2(add2(rx, e))
    line_a = (w0 - a[0] - g[0] - 4 * b[0], w1 - a[1] - g[1] - 4 * b[1])
    u0, u1 = mul2(z, rt)
    line_c = (2 * u0 * py % P, 2 * u1 * py % P)
    return (x, y, z, t), (line_a, line_b, line_c)


def _add(r: _Point, q: G2, p: G1, q_squared: Fp2) -> tuple[_Point, _Line]:
    """r + q and the line through them, evaluated at p; `q_squared` is the square of q's y."""
    rx, ry, rz, rt = r
    qx, qy = q
    px, py = p
    b = mul2(qx, rt)
    d = mul2(sub2(sub2(square2(add2(qy, rz)), q_squared), rt), rt)
    h = sub2(b, rx)
    i = square2(h)
    e = (4 * i[0], 4 * i[1])
    j = mul2(h, e)
    slope = (d[0] - 2 * ry[0], d[1] - 2 * ry[1])
    v = mul2(rx, e)
    s = square2(slope)
    x = ((s[0] - j[0] - 2 * v[0]) % P, (s[1] - j[1] - 2 * v[1]) % P)
    z = sub2(sub2(square2(add2(rz, h)), rt), i)
    m = mul2(sub2(v, x), slope)
    n = mul2(ry, j)
    y = ((m[0] - 2 * n[0]) % P, (m[1] - 2 * n[1]) % P)
    t = square2(z)
    f = sub2(sub2(square2(add2(qy, z)), q_squared), t)
    k = mul2(slope, qx)
    line_a = (2 * k[0] - f[0], 2 * k[1] - f[1])
    line_b = (-2 * slope[0] * px % P, -2 * slope[1] * px % P)
    line_c = (2 * z[0] * py % P, 2 * z[1] * py % P)
    return (x, y, z, t), (line_a, line_b, line_c)


def _mul_line(value: Fp12, line: _Line) -> Fp12:
    a, b, c = line
    x, y = value  # x + y w
    high = _mul_sparse(y, b, a)
    low: Fp6 = (mul2(x[0], c), mul2(x[1], c), mul2(x[2], c))
    cross = _mul_sparse(add6(x, y), add2(b, c), a)
    return add6(low, mul6_v(high)), sub6(sub6(cross, high), low)


def _mul_sparse(x: Fp6, low: Fp2, high: Fp2) -> Fp6:
    """x (low + high v)."""
    x0, x1, x2 = x
    return (
        add2(mul2(x0, low), mul_xi(mul2(x2, high))),
        add2(mul2(x1, low), mul2(x0, high)),
        add2(mul2(x2, low), mul2(x1, high)),
    )


def _final_exponentiation(value: Fp12) -> Fp12:
    """value^((p^12 - 1) / r)."""
    easy = mul12(conjugate12(value), inverse12(value))
    m = mul12(easy, frobenius2(easy))
    fu = power_u(m)
    fu2 = power_u(fu)
    fu3 = power_u(fu2)
    fp2 = frobenius2(m)
    y0 = mul12(mul12(frobenius(m), fp2), frobenius(fp2))
    y1 = conjugate12(m)
    y2 = frobenius2(fu2)
    y3 = conjugate12(frobenius(fu))
    y4 = conjugate12(mul12(fu, frobenius(fu2)))
    y5 = conjugate12(fu2)
    y6 = conjugate12(mul12(fu3, frobenius(fu3)))
    t0 = mul12(mul12(square12(y6), y4), y5)
    t1 = mul12(mul12(y3, y5), t0)
    t0 = mul12(t0, y2)
    t1 = square12(mul12(square12(t1), t0))
    t0 = mul12(t1, y1)
    t1 = mul12(t1, y0)
    return mul12(square12(t0), t1)


def _reduced2(a: Fp2) -> Fp2:
    return a[0] % P, a[1] % P


def _reduced(a: Fp12) -> Fp12:
    (c0, c2, c4), (c1, c3, c5) = a
    return (
        (_reduced2(c0), _reduced2(c2), _reduced2(c4)),
        (_reduced2(c1), _reduced2(c3), _reduced2(c5)),
    )
