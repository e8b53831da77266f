"""Random cases. The same (seed, index) always gives the same case."""

from random import Random

from node.execution.state.system_contracts import (
    BEACON_ROOTS_ADDRESS,
    BEACON_ROOTS_CODE,
    HISTORY_ADDRESS,
    HISTORY_CODE,
)
from node.primitives.basics import keccak256
from node.primitives.births import contract_address
from tests.conformance.differential.assembly import Program, assemble
from tests.conformance.differential.case import (
    CHAIN_ID,
    Account,
    Authorization,
    Block,
    Case,
    Transaction,
    address_of,
)
from tests.conformance.differential.inputs import GENERATORS, precompile_input
from tests.conformance.differential.programs import Statements, init_code, program
from tests.conformance.differential.writer import interesting

ETHER = 10**18
KEYS = tuple(bytes([0x11 * n]) * 32 for n in range(1, 6))
EOAS = tuple(address_of(key) for key in KEYS)
CONTRACTS = tuple(bytes.fromhex(f"c{n}") * 20 for n in range(5))
NOBODY = b"\xee" * 20
STORED_ONLY = contract_address(CONTRACTS[0], 1)  # where the first CREATE of a contract goes
TRANSACTIONS = (1, 2, 3, 4, 6, 8)
DEEP_GAS = 1 << 41  # (63/64)^1024 of it must still pay for a call


def delegation(address: bytes) -> bytes:
    return b"\xef\x01\x00" + address


def generate(seed: int, index: int) -> Case:
    rng = Random(f"{seed}/{index}")
    deep = rng.random() < 0.001
    block = Block(
        coinbase=rng.choice((b"\xc0" * 20, b"\xc0" * 20, NOBODY, EOAS[0], CONTRACTS[1])),
        gas_limit=rng.choices((60_000_000, 400_000), (30, 1))[0] if not deep else 2 * DEEP_GAS,
        base_fee=rng.choice((1, 1, 7, 7, 7, 10**9)),
        number=rng.choice((1000, 1000, 1, 200, 256, 257)),
        prev_randao=rng.randbytes(32),
    )
    accounts = _accounts(rng, deep=deep)
    system = rng.random() < 0.1
    if system:
        accounts[BEACON_ROOTS_ADDRESS] = Account(nonce=1, code=BEACON_ROOTS_CODE)
        accounts[HISTORY_ADDRESS] = Account(nonce=1, code=HISTORY_CODE)
    nonces = {address: account.nonce for address, account in accounts.items()}
    count = 1 if deep else rng.choice(TRANSACTIONS)
    transactions = tuple(
        _transaction(rng, block, accounts, nonces, deep=deep) for _ in range(count)
    )
    return Case(
        name=f"{seed}/{index}",
        block=block,
        accounts=accounts,
        transactions=transactions,
        separate=rng.random() < 0.4,
        system=system,
    )


# -- accounts


def _targets() -> tuple[bytes, ...]:
    precompiles = tuple(bytes(19) + bytes([n]) for n in (1, 2, 4, 5))
    return (
        *CONTRACTS, *CONTRACTS, *CONTRACTS, *EOAS[:3], NOBODY, STORED_ONLY, *precompiles[:2],
        contract_address(CONTRACTS[0], 2), BEACON_ROOTS_ADDRESS, HISTORY_ADDRESS,
    )  # fmt: skip


def _code(rng: Random) -> Program:
    return program(rng, _targets())


def _deep_code(rng: Random) -> Program:
    """Calls itself until the depth of 1,024 stops it, and does little else."""
    writer = Statements(rng, _targets())
    if rng.random() < 0.5:
        writer.arithmetic()
    writer.guard(1100)
    writer.storage()
    return writer.program()


def _storage(rng: Random) -> dict[int, int]:
    slots = (0, 1, 2, 3, 255, (1 << 256) - 1, 0xEAD)
    return {slot: rng.choice((1, 2, interesting(rng) or 1)) for slot in slots if rng.random() < 0.3}


def _accounts(rng: Random, *, deep: bool) -> dict[bytes, Account]:
    accounts: dict[bytes, Account] = {}
    for index, address in enumerate(CONTRACTS):
        if index and rng.random() < 0.15:
            continue
        nonce = rng.choice((1, 1, 1, 2, 2**64 - 2, 2**64 - 1)) if index else 1
        accounts[address] = Account(
            balance=rng.choice((0, 1, 1000, ETHER)),
            nonce=nonce,
            code=_deep_code(rng) if deep and not index else _code(rng),
            storage=_storage(rng),
        )
    for index, address in enumerate(EOAS):
        roll = rng.random()
        code: bytes | Program = b""
        if roll < 0.15:
            code = delegation(rng.choice((*CONTRACTS, *EOAS, bytes(19) + b"\x04", NOBODY)))
        elif roll < 0.18 and index:
            code = _code(rng)  # a sender with code (EIP-3607)
        nonce = rng.choice((0, 0, 1, 5))
        accounts[address] = Account(
            balance=10**24
            if deep
            else ETHER
            if index < 2
            else rng.choice((ETHER, ETHER, 10**6, 10**15)),
            nonce=max(nonce, 1) if code else nonce,
            code=code,
            storage=_storage(rng) if code and rng.random() < 0.5 else {},
        )
    if rng.random() < 0.04:
        accounts[STORED_ONLY] = Account(balance=rng.choice((1, 5)), storage={1: 1})
    elif rng.random() < 0.04:
        accounts[STORED_ONLY] = Account(balance=3)
    return accounts


# -- transactions


def _gas(rng: Random, *, deep: bool) -> int:
    if deep:
        return DEEP_GAS
    kind = rng.randrange(20)
    if kind == 0:
        return rng.choice((0, 20_999, 21_000, 21_001, 53_000, 2**64 - 1))
    if kind < 3:
        return rng.randrange(21_000, 60_000)
    if kind < 13:
        return rng.randrange(60_000, 400_000)
    return rng.randrange(400_000, 2_000_000)


def _data(rng: Random) -> bytes:
    kind = rng.randrange(8)
    if kind < 2:
        return b""
    if kind < 4:
        return rng.randbytes(4) + b"".join(
            interesting(rng).to_bytes(32, "big") for _ in range(rng.randrange(4))
        )
    if kind == 4:
        return rng.randbytes(rng.choice((1, 100, 500, 3000)))
    if kind == 5:
        return bytes(rng.choice((1, 32, 2000)))
    return rng.randbytes(rng.randrange(1, 64))


def _access_list(rng: Random) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    if rng.random() < 0.5:
        return ()
    places = (*CONTRACTS, *EOAS, NOBODY, STORED_ONLY, bytes(19) + b"\x01")
    return tuple(
        (rng.choice(places), tuple(rng.choice((0, 1, 2, 255)) for _ in range(rng.randrange(3))))
        for _ in range(rng.randrange(1, 4))
    )


def _authorizations(rng: Random, nonces: dict[bytes, int]) -> tuple[Authorization, ...]:
    items = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        key = rng.choice((*KEYS, *KEYS, *KEYS, b"\x77" * 32))
        authority = address_of(key)
        known = nonces.get(authority, 0)
        good = rng.random() < 0.85
        items.append(
            Authorization(
                key=key,
                chain_id=rng.choice((0, CHAIN_ID)) if good else rng.choice((0, CHAIN_ID, 5, 2**64)),
                address=rng.choice(
                    (*CONTRACTS, *CONTRACTS, *EOAS[:2], bytes(20), bytes(19) + b"\x02", NOBODY)
                ),
                nonce=known if good else rng.choice((known, known + 1, 0, 2**64 - 1)),
                damage="" if good else rng.choice(("", "high_s", "parity", "zero_r")),
            )
        )
        if good:
            nonces[authority] = known + 1
    return tuple(items)


def _transaction(
    rng: Random,
    block: Block,
    accounts: dict[bytes, Account],
    nonces: dict[bytes, int],
    *,
    deep: bool,
) -> Transaction:
    """The next transaction. `nonces` is what the generator believes; it may be wrong."""
    kind = rng.choice((0, 0, 1, 2, 2, 2, 4))
    key = rng.choice(KEYS[:2]) if rng.random() < 0.8 else rng.choice(KEYS)
    if deep:
        key = KEYS[0]
    sender = address_of(key)
    nonce = nonces[sender]
    odd = not deep and rng.random() < 0.06
    if odd:
        nonce = rng.choice((nonce, max(nonce - 1, 0), nonce + 1, 2**64 - 1))
    else:
        nonces[sender] = nonce + 1
    fee = block.base_fee + rng.choice((0, 0, 1, 3, 10))
    if odd and rng.random() < 0.3:
        fee = max(block.base_fee - 1, 0)
    tip = min(rng.choice((0, 0, 1, 2, fee)), fee)
    if odd and rng.random() < 0.3:
        tip = fee + 1
    to: bytes = rng.choice((*CONTRACTS, *CONTRACTS, *CONTRACTS, *EOAS[:3], NOBODY))
    data: bytes | Program = _data(rng)
    roll = rng.random()
    if deep:
        to = CONTRACTS[0]
    elif roll < 0.12 and kind != 4:
        to = b""
        data = init_code(rng, _targets())
        if rng.random() < 0.05:
            data = bytes(rng.choice((49_152, 49_153)))
    elif roll < 0.16:
        number = rng.choice((1, 2, 3, 4, 5, 5, 6, 9, 0x0B, 0x12))
        to = bytes(19) + bytes([number])
        if number in GENERATORS:
            data = precompile_input(rng, number)
    elif roll < 0.18:
        to = rng.choice((BEACON_ROOTS_ADDRESS, HISTORY_ADDRESS, STORED_ONLY))
        data = rng.choice((block.timestamp, block.number - 1, interesting(rng))).to_bytes(32, "big")
    value = rng.choice((0, 0, 0, 1, 1000, ETHER // 3))
    if odd and rng.random() < 0.2:
        value = 2 * ETHER
    authorizations = _authorizations(rng, nonces) if kind == 4 and to else ()
    if kind == 4 and not authorizations:
        kind = 2
    gas = _gas(rng, deep=deep)
    if not odd and gas < 60_000:
        gas = max(gas, _least_gas(to, data, len(authorizations)))
    return Transaction(
        type=kind,
        key=key,
        nonce=nonce,
        gas=gas,
        max_fee=fee,
        tip=tip if kind in (2, 4) else fee,
        to=to,
        value=value,
        data=data,
        access_list=_access_list(rng) if kind else (),
        authorizations=authorizations,
        chain_id=2 if odd and rng.random() < 0.2 else CHAIN_ID,
        protected=rng.random() < 0.9,
    )


def _least_gas(to: bytes, data: bytes | Program, authorizations: int) -> int:
    raw = assemble(data) if isinstance(data, Program) else data
    zeros = raw.count(0)
    tokens = zeros + 4 * (len(raw) - zeros)
    extra = 25_000 * authorizations + (0 if to else 32_000 + len(raw) // 16 + 2)
    return 21_000 + max(10 * tokens, 4 * tokens + extra)


def identity_of(case: Case) -> str:
    """A short hash of all the case says: the same seed must give the same on every machine."""
    return keccak256(repr(case.wire()).encode()).hex()[:16]
