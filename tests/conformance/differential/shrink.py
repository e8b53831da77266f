"""Makes a failing case small enough to read: tries simpler cases and keeps those that still fail."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.conformance.differential.assembly import Program, disassemble
from tests.conformance.differential.case import (
    Account,
    Block,
    Case,
    Code,
    Transaction,
    address_of,
    code_bytes,
)

T = TypeVar("T")
PLENTY = 10**24


def shrink(case: Case, fails: Callable[[Case], bool], *, seconds: float = 60.0) -> Case:
    """The simplest case found that fails; `case` itself fails."""
    deadline = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < deadline:
        progress = False
        for simplify in (_fewer_transactions, _fewer_accounts, _plainer, _shorter_code):
            again = True
            while again and time.monotonic() < deadline:
                again = False
                for candidate in simplify(case):
                    if time.monotonic() > deadline:
                        break
                    if fails(candidate):
                        case = candidate
                        again = progress = True
                        break
    return case


def _without(items: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """The sequence without ever smaller chunks of it."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2


def _fewer_transactions(case: Case) -> Iterator[Case]:
    for index in reversed(range(len(case.transactions))):
        gone = case.transactions[index]
        rest = case.transactions[index + 1 :]
        kept = case.transactions[:index]
        earlier = tuple(
            replace(tx, nonce=tx.nonce - 1) if tx.key == gone.key and tx.nonce else tx
            for tx in rest
        )
        yield replace(case, transactions=kept + earlier)
        if earlier != rest:
            yield replace(case, transactions=kept + rest)


def _fewer_accounts(case: Case) -> Iterator[Case]:
    for address in case.accounts:
        others = {a: account for a, account in case.accounts.items() if a != address}
        yield replace(case, accounts=others)


def _with_account(case: Case, address: bytes, account: Account) -> Case:
    if not (account.balance or account.nonce or account.code):
        account = replace(account, balance=1)  # no state since EIP-161 holds an empty account
    return replace(case, accounts={**case.accounts, address: account})


def _with_transaction(case: Case, index: int, tx: Transaction) -> Case:
    transactions = (*case.transactions[:index], tx, *case.transactions[index + 1 :])
    return replace(case, transactions=transactions)


def _plainer(case: Case) -> Iterator[Case]:
    default = Block()
    for name in Block.__dataclass_fields__:
        if getattr(case.block, name) != getattr(default, name):
            yield replace(case, block=replace(case.block, **{name: getattr(default, name)}))
    if case.separate:
        yield replace(case, separate=False)
    if case.system:
        yield replace(case, system=False)
    for address, account in case.accounts.items():
        for plainer in _plainer_account(account):
            yield _with_account(case, address, plainer)
        for slot in account.storage:
            fewer = {s: v for s, v in account.storage.items() if s != slot}
            yield _with_account(case, address, replace(account, storage=fewer))
    for index, tx in enumerate(case.transactions):
        for candidate in _plainer_transaction(tx):
            yield _with_transaction(case, index, candidate)
        if tx.nonce:
            sender = address_of(tx.key)
            yield replace(
                _with_account(
                    case,
                    sender,
                    replace(case.accounts.get(sender, Account(balance=PLENTY)), nonce=0),
                ),
                transactions=tuple(
                    replace(t, nonce=t.nonce - tx.nonce)
                    if t.key == tx.key and t.nonce >= tx.nonce
                    else t
                    for t in case.transactions
                ),
            )


def _plainer_account(account: Account) -> Iterator[Account]:
    if account.code:
        yield replace(account, code=b"")
    if account.storage:
        yield replace(account, storage={})
    if account.balance not in (0, PLENTY):
        yield replace(account, balance=0)
        yield replace(account, balance=PLENTY)
    if account.nonce:
        yield replace(account, nonce=0)
    if account.nonce > 1:
        yield replace(account, nonce=1)


def _plainer_transaction(tx: Transaction) -> Iterator[Transaction]:
    for fewer in _without(tx.authorizations):
        if fewer:
            yield replace(tx, authorizations=fewer)
    if tx.authorizations:
        yield replace(tx, type=2, authorizations=())
    if tx.access_list:
        yield replace(tx, access_list=())
    if tx.type == 2 and not tx.access_list:
        yield replace(tx, type=0, tip=tx.max_fee)
    if tx.value:
        yield replace(tx, value=0)
    if tx.gas != 1_000_000:
        yield replace(tx, gas=1_000_000)
    if isinstance(tx.data, bytes) and tx.data:
        yield replace(tx, data=b"")
        yield replace(tx, data=tx.data[: len(tx.data) // 2])
        if any(tx.data):
            yield replace(tx, data=bytes(len(tx.data)))


def _shorter_code(case: Case) -> Iterator[Case]:
    for address, account in case.accounts.items():
        for code in _shorter(account.code):
            yield _with_account(case, address, replace(account, code=code))
    for index, tx in enumerate(case.transactions):
        if isinstance(tx.data, Program):
            for data in _shorter(tx.data):
                yield _with_transaction(case, index, replace(tx, data=data))


def _shorter(code: Code) -> Iterator[Code]:
    if isinstance(code, bytes):
        if len(code) > 4:
            yield code[: len(code) // 2]
        return
    for pieces in _without(code.pieces):
        yield replace(code, pieces=pieces)
    for index, block in enumerate(code.data):
        before, after = code.data[:index], code.data[index + 1 :]
        if block:
            yield replace(code, data=(*before, b"", *after))
        for shorter in _shorter(block):
            yield replace(code, data=(*before, shorter, *after))
    for index, piece in enumerate(code.pieces):
        if isinstance(piece, bytes) and len(piece) > 3:
            small = (*code.pieces[:index], b"\x60\x01", *code.pieces[index + 1 :])
            yield replace(code, pieces=small)


def readable(case: Case) -> str:
    """The case as text: fields, and code in mnemonics."""
    lines = [f"case {case.name}: {case.block}"]
    if case.separate or case.system:
        lines.append(f"  separate blocks: {case.separate}, system calls: {case.system}")
    for address, account in case.accounts.items():
        storage = {hex(k): hex(v) for k, v in account.storage.items()}
        lines.append(
            f"account 0x{address.hex()}: balance {account.balance}, nonce {account.nonce}"
            + (f", storage {storage}" if storage else "")
        )
        lines += [f"    {line}" for line in disassemble(code_bytes(account.code))]
    for index, tx in enumerate(case.transactions):
        lines.append(
            f"transaction {index}: type {tx.type} from 0x{address_of(tx.key).hex()} nonce {tx.nonce} "
            f"to {'0x' + tx.to.hex() if tx.to else 'a new contract'} value {tx.value} gas {tx.gas} "
            f"fee {tx.max_fee} tip {tx.tip}"
        )
        lines += [f"    access 0x{a.hex()} {slots}" for a, slots in tx.access_list]
        lines += [
            f"    authorization by 0x{address_of(i.key).hex()} nonce {i.nonce} chain {i.chain_id} "
            f"for 0x{i.address.hex()} {i.damage}"
            for i in tx.authorizations
        ]
        if isinstance(tx.data, Program):
            lines += [f"    {line}" for line in disassemble(code_bytes(tx.data))]
        elif tx.data:
            lines.append(f"    data 0x{tx.data.hex()}")
    return "\n".join(lines)
