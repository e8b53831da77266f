"""Contracts from the command line: deploying, and calls that change nothing."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from node.commands.accounts import From, Gas, send_and_show
from node.commands.common import DEFAULT_DIRECTORY, Directory, Json, print_json
from node.primitives.errors import UserError
from node.terminal import say

Arguments = Annotated[str, Parameter(name="ARGS", negative="", allow_leading_hyphen=True)]


def call(
    to: Annotated[str, Parameter(name="TO", negative="")],
    signature: Annotated[str, Parameter(name="SIG", negative="")],
    /,
    *arguments: Arguments,
    directory: Directory = DEFAULT_DIRECTORY,
    sender: From = "",
    block: Annotated[str, Parameter(help="A network block: a number, or latest.")] = "latest",
    json: Json = False,
) -> int:
    """Call a function of a contract without a transaction, and show what it returns.

    Parameters
    ----------
    to
        The contract.
    signature
        The function, with what it returns: "balanceOf(address)(uint256)". Without that the answer is in hex.
    arguments
        Its arguments; arrays and tuples as JSON.
    """
    from node.cluster.client.abi import decode_result, encode_arguments, parse_signature
    from node.cluster.client.ask import ask_network
    from node.cluster.client.units import parse_data
    from node.cluster.client.wallet import find_address
    from node.cluster.layout import load_layout

    layout, function = load_layout(directory), parse_signature(signature)
    data = function.selector + encode_arguments(function.inputs, arguments)
    request = {"to": "0x" + find_address(layout, to).hex(), "data": "0x" + data.hex()}
    if sender:
        request["from"] = "0x" + find_address(layout, sender).hex()
    answer = ask_network(layout, "eth_call", request, _block(block))
    if function.outputs is None:
        if json:
            print_json({"data": answer})
        else:
            say(answer)
        return 0
    values = decode_result(function.outputs, parse_data(answer))
    if json:
        print_json({"data": answer, "values": values})
    else:
        for value in values:
            say(value)
    return 0


def deploy(
    file: Annotated[Path, Parameter(name="FILE", negative="")],
    /,
    *arguments: Arguments,
    directory: Directory = DEFAULT_DIRECTORY,
    sender: From = "0",
    gas: Gas = None,
    json: Json = False,
) -> int:
    """Deploy a contract on the shard of the account that pays, and wait for it.

    Parameters
    ----------
    file
        The JSON of Foundry, Hardhat or solc, a Vyper source, or creation code in hex.
    arguments
        Those of the constructor; arrays and tuples as JSON.
    """
    from node.cluster.client.abi import encode_arguments
    from node.cluster.client.artifact import load_artifact
    from node.cluster.client.wallet import TransactionDraft, find_account
    from node.cluster.layout import load_layout

    layout, artifact = load_layout(directory), load_artifact(file)
    if artifact.constructor is None and arguments:
        raise UserError(
            f"{file} does not say which arguments the constructor takes; give a JSON file with an 'abi'"
        )
    data = artifact.bytecode + encode_arguments(artifact.constructor or (), arguments)
    wanted = TransactionDraft(to=None, data=data, gas=gas)
    return send_and_show(layout, find_account(layout, sender), wanted, wait=True, json=json)


def _block(text: str) -> str:
    if text.isascii() and text.isdigit():
        return hex(int(text))
    if text in ("latest", "earliest", "pending", "safe", "finalized"):
        return text
    raise UserError(f"--block {text!r}: a number or latest is expected")
