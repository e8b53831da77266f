"""The development accounts and what they send."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from node.commands.common import DEFAULT_DIRECTORY, EXIT_FAILED, Directory, Json, print_json
from node.primitives.errors import UserError
from node.terminal import say

if TYPE_CHECKING:
    from node.cluster.accounts import DevAccount
    from node.cluster.client.wallet import TransactionDraft
    from node.cluster.layout import NetworkLayout

From = Annotated[
    str,
    Parameter(
        name="--from", help="A development account: its number or address (`atoll accounts`)."
    ),
]
Gas = Annotated[
    int | None, Parameter(validator=Number(gte=21_000), help="Gas limit; estimated if left out.")
]
Data = Annotated[str, Parameter(help="Data of the call in hex.")]


def accounts(
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
    keys: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """List the development accounts with their homes and balances.

    Parameters
    ----------
    keys
        With their private keys.
    """
    from node.cluster.client.units import format_amount
    from node.cluster.client.wallet import account_rows
    from node.cluster.layout import load_layout
    from node.cluster.show.tables import console, plain_table

    layout = load_layout(directory)
    rows = account_rows(layout)
    if keys:
        for row, account in zip(rows, layout.accounts, strict=True):
            row["privateKey"] = account.private_key
    if json:
        print_json({"accounts": rows})
        return 0
    table = plain_table(
        "", "account", "home", "balance", "nonce", *(["private key"] if keys else [])
    )
    for row in rows:
        table.add_row(
            str(row["index"]),
            row["address"],
            f"shard {row['home']}",
            format_amount(int(row["balance"], 16)),
            str(row["nonce"]),
            *([row["privateKey"]] if keys else []),
        )
    console().print(table)
    return 0


def send(
    sender: Annotated[str, Parameter(name="FROM", negative="")],
    to: Annotated[str, Parameter(name="TO", negative="")],
    value: Annotated[str, Parameter(name="VALUE", negative="")],
    /,
    *function: Annotated[str, Parameter(name="SIG", negative="", allow_leading_hyphen=True)],
    directory: Directory = DEFAULT_DIRECTORY,
    data: Data = "0x",
    gas: Gas = None,
    wait: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Send a transaction of a development account, to any shard. Prints its hash.

    Parameters
    ----------
    sender
        A development account: its number or address.
    to
        An address, or the number of a development account.
    value
        In ether, or with a unit: 1.5, 30gwei, 7wei.
    function
        A function to call there, "transfer(address,uint256)", and its arguments.
    wait
        Wait until it has run. Exits 1 if it failed.
    """
    from node.cluster.client.abi import encode_call
    from node.cluster.client.units import parse_amount, parse_data
    from node.cluster.client.wallet import TransactionDraft, find_account, find_address
    from node.cluster.layout import load_layout

    layout = load_layout(directory)
    account = find_account(layout, sender)
    payload = parse_data(data)
    if function:
        if payload:
            raise UserError("a function and --data exclude each other; give one of them")
        payload = encode_call(function[0], function[1:])
    wanted = TransactionDraft(
        to=find_address(layout, to), value=parse_amount(value), data=payload, gas=gas
    )
    return send_and_show(layout, account, wanted, wait=wait, json=json)


def faucet(
    address: Annotated[str, Parameter(name="ADDRESS", negative="")],
    amount: Annotated[str, Parameter(name="AMOUNT", negative="")] = "100",
    /,
    *,
    directory: Directory = DEFAULT_DIRECTORY,
    json: Json = False,
) -> int:
    """Send an address ether from the richest development account, and wait for it.

    Parameters
    ----------
    amount
        In ether (100), or with a unit.
    """
    from node.cluster.client.units import check_address, parse_amount
    from node.cluster.client.wallet import TransactionDraft, richest_account
    from node.cluster.layout import load_layout

    layout = load_layout(directory)
    wanted = TransactionDraft(to=check_address(address), value=parse_amount(amount))
    return send_and_show(layout, richest_account(layout), wanted, wait=True, json=json)


def send_and_show(
    layout: "NetworkLayout",
    account: "DevAccount",
    wanted: "TransactionDraft",
    *,
    wait: bool,
    json: bool,
) -> int:
    """Send, and say what became of it; the exit code."""
    from node.cluster.client.ask import ask_network
    from node.cluster.client.reason import why_it_failed
    from node.cluster.client.units import checksum_address, parse_data
    from node.cluster.client.wallet import send, wait_for_receipt

    tx_hash = send(layout, account, wanted)
    receipt: dict[str, Any] | None = None
    if not json:
        say(tx_hash, flush=True)
    if wait:
        receipt = wait_for_receipt(layout, tx_hash)
    succeeded = receipt is None or receipt["status"] == "0x1"
    why = None if succeeded else why_it_failed(partial(ask_network, layout), tx_hash)
    if json:
        print_json({"transactionHash": tx_hash, "receipt": receipt, "reason": why})
    elif receipt is not None:
        created = receipt["contractAddress"]
        created = checksum_address(parse_data(created)) if created else None
        say(
            f"{'ok' if succeeded else 'failed'} in network block {int(receipt['blockNumber'], 16)}, "
            f"gas {int(receipt['gasUsed'], 16):,}"
            + (f"\ncontract {created}" if created and succeeded else "")
            + (f"\n{why}" if why else "")
        )
    return 0 if succeeded else EXIT_FAILED
