"""The BLS12-381 precompiles (EIP-2537) over arkworks.

Points are affine coordinates of field elements in 64 bytes, the first 16 zero; the point at infinity is
all zeros. Additions accept every point of the curve; multiplications and pairings only those of the
subgroup.
"""

from typing import TYPE_CHECKING, TypeVar

from node.execution.frame.frame import Frame
from node.execution.frame.pyevm import VMError

if TYPE_CHECKING:
    from py_arkworks_bls12381 import G1Point, G2Point

G1_BYTES = 128
G2_BYTES = 256
SCALAR_BYTES = 32
FIELD_BYTES = 64
MODULUS = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
    16,
)
G1_ADD_GAS, G1_MUL_GAS = 375, 12_000
G2_ADD_GAS, G2_MUL_GAS = 600, 22_500
MAP_FP_GAS, MAP_FP2_GAS = 5500, 23_800
PAIRING_BASE_GAS, PAIRING_GAS = 37_700, 32_600
# per thousand, for 1 to 128 pairs and for more
# fmt: off
G1_DISCOUNTS = (
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677, 673, 669,
    665, 661, 658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627, 625, 623, 621, 619,
    617, 615, 613, 611, 609, 608, 606, 604, 603, 601, 599, 598, 596, 595, 593, 592, 591, 589,
    588, 586, 585, 584, 582, 581, 580, 579, 577, 576, 575, 574, 573, 572, 570, 569, 568, 567,
    566, 565, 564, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 551, 550, 549,
    548, 547, 547, 546, 545, 544, 543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534,
    533, 532, 532, 531, 530, 529, 528, 528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520,
    520, 519,
)
G2_DISCOUNTS = (
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717, 711, 704,
    699, 693, 688, 683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646, 643, 640, 637, 634,
    632, 629, 627, 624, 622, 620, 618, 615, 613, 611, 609, 607, 606, 604, 602, 600, 598, 597,
    595, 593, 592, 590, 589, 587, 586, 584, 583, 582, 580, 579, 578, 576, 575, 574, 573, 571,
    570, 569, 568, 567, 566, 565, 563, 562, 561, 560, 559, 558, 557, 556, 555, 554, 553, 552,
    552, 551, 550, 549, 548, 547, 546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537,
    537, 536, 535, 535, 534, 533, 532, 532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525,
    524, 524,
)
# fmt: on

_Point = TypeVar("_Point", "G1Point", "G2Point")


def _coordinates(data: bytes) -> bytes:
    """The field elements of 64 bytes each, as arkworks takes them: 48 bytes each."""
    parts = []
    for at in range(0, len(data), FIELD_BYTES):
        element = data[at : at + FIELD_BYTES]
        if int.from_bytes(element, "big") >= MODULUS:
            raise VMError("invalid field element top bytes")
        parts.append(element[16:])
    return b"".join(parts)


def _decode(kind: type[_Point], data: bytes, *, subgroup: bool) -> _Point:
    """The point of its coordinates. Raises VMError where it is not on the curve or not in the subgroup."""
    raw = _coordinates(data)
    if not any(raw):
        return kind.identity()
    try:
        return kind.from_xy_bytes_be(raw) if subgroup else kind.from_xy_bytes_unchecked_be(raw)
    except ValueError as error:
        raise VMError(f"invalid point: {error}") from None


def _encode(point: "G1Point | G2Point") -> bytes:
    raw = point.to_xy_bytes_be()
    return b"".join(b"\0" * 16 + raw[at : at + 48] for at in range(0, len(raw), 48))


def _input(frame: Frame, size: int) -> bytes:
    if len(frame.msg.data) != size:
        raise VMError("invalid input length")
    data: bytes = frame.msg.data_as_bytes
    return data


def _pairs(frame: Frame, size: int) -> int:
    """The number of pairs of `size` bytes in the input."""
    count, rest = divmod(len(frame.msg.data), size)
    if not count or rest:
        raise VMError("invalid input length")
    return count


def g1_add(frame: Frame) -> None:
    from py_arkworks_bls12381 import G1Point

    frame.meter.consume_gas(G1_ADD_GAS)
    _add(frame, G1Point, G1_BYTES)


def g2_add(frame: Frame) -> None:
    from py_arkworks_bls12381 import G2Point

    frame.meter.consume_gas(G2_ADD_GAS)
    _add(frame, G2Point, G2_BYTES)


def _add(frame: Frame, kind: type[_Point], size: int) -> None:
    data = _input(frame, 2 * size)
    a = _decode(kind, data[:size], subgroup=False)
    b = _decode(kind, data[size:], subgroup=False)
    frame.output = _encode(a + b)


def g1_msm(frame: Frame) -> None:
    from py_arkworks_bls12381 import G1Point

    _multiply(frame, G1Point, G1_BYTES, G1_MUL_GAS, G1_DISCOUNTS)


def g2_msm(frame: Frame) -> None:
    from py_arkworks_bls12381 import G2Point

    _multiply(frame, G2Point, G2_BYTES, G2_MUL_GAS, G2_DISCOUNTS)


def _multiply(
    frame: Frame, kind: type[_Point], size: int, gas: int, discounts: tuple[int, ...]
) -> None:
    from py_arkworks_bls12381 import Scalar

    width = size + SCALAR_BYTES
    count = _pairs(frame, width)
    discount = discounts[min(count, len(discounts)) - 1]
    frame.meter.consume_gas(count * gas * discount // 1000)
    data = frame.msg.data_as_bytes
    starts = range(0, len(data), width)
    points = [_decode(kind, data[at : at + size], subgroup=True) for at in starts]
    scalars = [Scalar.from_be_bytes_mod_order(data[at + size : at + width]) for at in starts]
    frame.output = _encode(kind.multiexp_unchecked(points, scalars))


def pairing_check(frame: Frame) -> None:
    from py_arkworks_bls12381 import GT, G1Point, G2Point

    width = G1_BYTES + G2_BYTES
    frame.meter.consume_gas(PAIRING_BASE_GAS + PAIRING_GAS * _pairs(frame, width))
    data = frame.msg.data_as_bytes
    starts = range(0, len(data), width)
    g1 = [_decode(G1Point, data[at : at + G1_BYTES], subgroup=True) for at in starts]
    g2 = [_decode(G2Point, data[at + G1_BYTES : at + width], subgroup=True) for at in starts]
    frame.output = GT.pairing_check(g1, g2).to_bytes(32, "big")


def map_fp_to_g1(frame: Frame) -> None:
    from py_arkworks_bls12381 import G1Point

    frame.meter.consume_gas(MAP_FP_GAS)
    frame.output = _encode(G1Point.map_from_fp_be(_coordinates(_input(frame, FIELD_BYTES))))


def map_fp2_to_g2(frame: Frame) -> None:
    from py_arkworks_bls12381 import G2Point

    frame.meter.consume_gas(MAP_FP2_GAS)
    frame.output = _encode(G2Point.map_from_fp2_be(_coordinates(_input(frame, 2 * FIELD_BYTES))))
