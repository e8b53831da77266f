# pragma version ~=0.4.3
"""
@title Work of one kind at a time, for benchmarks
@license MIT
"""

result: public(uint256)
slots: public(HashMap[uint256, uint256])


@external
def arithmetic(rounds: uint256):
    x: uint256 = 1
    for i: uint256 in range(rounds, bound=1_000_000):
        x = (x * 1_103_515_245 + i) % 2_147_483_647
        x ^= x >> 7
    self.result = x


@external
def hashes(rounds: uint256):
    x: bytes32 = empty(bytes32)
    for _: uint256 in range(rounds, bound=1_000_000):
        x = keccak256(x)
    self.result = convert(x, uint256)


@external
def store(first: uint256, count: uint256):
    """
    @notice Read and write `count` slots from `first` on.
    """
    for i: uint256 in range(count, bound=10_000):
        self.slots[first + i] += 1
