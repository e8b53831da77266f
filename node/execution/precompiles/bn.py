"""The alt_bn128 precompiles (EIP-196 and 197, priced by EIP-1108)."""

from gmpy2 import mpz

from node.execution.frame.frame import Frame
from node.execution.frame.pyevm import VMError
from node.execution.precompiles.bn128 import G1, G2, P, g1_add, g1_is_on_curve, g1_multiply

ADD_GAS = 150
MULTIPLY_GAS = 6000
PAIRING_GAS, PAIRING_BASE_GAS = 34_000, 45_000
PAIR_BYTES = 192


def _field(data: bytes, at: int) -> int:
    value: int = mpz.from_bytes(data[at : at + 32], "big")
    if value >= P:
        raise VMError("invalid field element")
    return value


def _g1(data: bytes, at: int) -> G1 | None:
    point = (_field(data, at), _field(data, at + 32))
    if point == (0, 0):
        return None
    if not g1_is_on_curve(point):
        raise VMError("malformed point")
    return point


def _g2(data: bytes, at: int) -> G2 | None:
    from node.execution.precompiles.bn128_pairing import g2_is_member

    x_i, x_r, y_i, y_r = (_field(data, at + 32 * n) for n in range(4))
    if not (x_i or x_r or y_i or y_r):
        return None
    point = ((x_r, x_i), (y_r, y_i))
    if not g2_is_member(point):
        raise VMError("malformed point")
    return point


def _encoded(point: G1 | None) -> bytes:
    if point is None:
        return bytes(64)
    x, y = point
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


def add(frame: Frame) -> None:
    frame.meter.consume_gas(ADD_GAS)
    data = bytes(frame.msg.data[:128]).ljust(128, b"\0")
    frame.output = _encoded(g1_add(_g1(data, 0), _g1(data, 64)))


def multiply(frame: Frame) -> None:
    frame.meter.consume_gas(MULTIPLY_GAS)
    data = bytes(frame.msg.data[:96]).ljust(96, b"\0")
    scalar = int.from_bytes(data[64:], "big")
    frame.output = _encoded(g1_multiply(_g1(data, 0), scalar))


def pairing(frame: Frame) -> None:
    """One for an empty input, too."""
    from node.execution.precompiles.bn128_pairing import pairing_is_one

    size = len(frame.msg.data)
    if size % PAIR_BYTES:
        raise VMError("bad elliptic curve pairing size")
    starts = range(0, size, PAIR_BYTES)
    frame.meter.consume_gas(PAIRING_BASE_GAS + PAIRING_GAS * len(starts))
    data = frame.msg.data_as_bytes
    pairs = [(_g1(data, at), _g2(data, at + 64)) for at in starts]
    frame.output = pairing_is_one(pairs).to_bytes(32, "big")
