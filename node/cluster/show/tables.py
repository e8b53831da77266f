"""The tables that `atoll up`, `status` and `audit` print."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table

from node.cluster.client.units import format_amount
from node.terminal import shows

UNKNOWN = "-"
DEV_METHODS = "on: every client of an endpoint may change accounts and time"
MIN_WIDTH = 400
STATE_STYLES = {
    "up": "green",
    "syncing": "yellow",
    "no answer": "red",
    "jailed": "bold red",
    "down": "red",
}


@shows
def network_tables(document: Mapping[str, Any], *, balance_ether: int) -> RenderableType:
    """The tables of network.json for a person: endpoints, layout, accounts with their keys and homes."""
    shards = document["shards"]
    sizes = [str(len(shard["nodes"])) for shard in shards]
    facts = Table.grid(padding=(0, 2))
    facts.add_row("endpoint", f"[bold]{document['rpc']}[/]")
    facts.add_row("websocket", document["ws"])
    facts.add_row("dashboard", f"{document['rpc']}/dashboard")
    facts.add_row("chain id", str(document["chainId"]))
    if document.get("devMethods"):
        facts.add_row("dev methods", DEV_METHODS)
    facts.add_row(
        "shards",
        f"{len(shards)} x {sizes[0] if len(set(sizes)) == 1 else '/'.join(sizes)} validators",
    )
    for shard in shards:
        facts.add_row(f"shard {shard['id']}", shard["rpc"])

    nodes = plain_table("node", "shard", "RPC", "pid")
    for shard in shards:
        for node in shard["nodes"]:
            nodes.add_row(node["name"], str(shard["id"]), node["rpc"], str(node["pid"]))

    accounts = plain_table("account", "private key", "home")
    for account in document["accounts"]:
        accounts.add_row(account["address"], account["privateKey"], f"shard {account['home']}")
    accounts.caption = f"{balance_ether:,} ETH each; for development only: these keys are public"
    return Group(facts, "", nodes, "", accounts)


@shows
def status_tables(document: Mapping[str, Any]) -> RenderableType:
    """The document of `network_status` for a person."""
    chains = plain_table("chain", "height", "round", "hash", "pool", "nodes")
    beacon = document["beacon"]
    chains.add_row("beacon", _text(beacon["height"]), _text(beacon["round"]), _text(beacon["hash"]))
    for shard in document["shards"]:
        pool = shard["pool"]
        chains.add_row(
            f"shard {shard['id']}",
            _text(shard["height"]),
            _text(shard["round"]),
            _text(shard["hash"]),
            UNKNOWN if pool["pending"] is None else f"{pool['pending']} + {pool['queued']} queued",
            f"{shard['nodesUp']} of {shard['nodes']} up"
            + (", [bold red]frozen[/]" if shard["frozen"] else ""),
        )
    nodes = plain_table("node", "shard", "state", "beacon", "height", "lag", "peers", "pid", "RPC")
    for node in document["nodes"]:
        style = STATE_STYLES[node["state"]]
        nodes.add_row(
            node["name"],
            str(node["shard"]),
            f"[{style}]{node['state']}[/]",
            _text(node["beacon"]),
            _text(node["height"]),
            _text(node["lag"]),
            UNKNOWN if node["peers"] is None else f"{node['peers']}/{node['peersExpected']}",
            _text(node["pid"]),
            node["rpc"],
        )
    parts: list[RenderableType] = [chains, "", nodes]
    if document["lanes"]:
        lanes = plain_table("lane", "sent", "delivered", "in flight")
        for lane in document["lanes"]:
            lanes.add_row(
                f"{lane['src']} -> {lane['dst']}",
                str(lane["sent"]),
                str(lane["delivered"]),
                str(lane["sent"] - lane["delivered"]),
            )
        parts += ["", lanes]
    if document.get("devMethods"):
        parts += ["", f"dev methods: {DEV_METHODS}"]
    problems = [
        f"{node['name']}: {node['problem']}" for node in document["nodes"] if node["problem"]
    ] + [f"{fault['name']}: {fault['what']}" for fault in document["faults"]]
    return Group(*parts, *(["", *problems] if problems else []))


@shows
def audit_table(document: Mapping[str, Any]) -> RenderableType:
    """The answer to `atoll_audit`: its amounts, those of each shard and lane, and whether they balance."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column()
    facts.add_column(justify="right")
    parts: list[RenderableType] = [facts]
    for name, value in document.items():
        if isinstance(value, list):
            rows = [row for row in value if isinstance(row, dict)]
            if rows:
                table = plain_table(name, *list(rows[0])[1:])
                for row in rows:
                    table.add_row(*map(_amount, row.values()))
                parts += ["", table]
        elif name != "balanced":
            facts.add_row(name, _amount(value))
    verdict = "[green]the audit balances[/]"
    if document.get("balanced") is not True:
        verdict = "[bold red]the audit does not balance[/]"
    return Group(*parts, "", verdict)


def encode_document(document: object) -> bytes:
    """A JSON file for people and programs."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def console(*, stderr: bool = False) -> Console:
    """Standard output or error, never narrower than a row with a key: the terminal may wrap, we do not cut."""
    width = Console().width
    return Console(highlight=False, width=max(width, MIN_WIDTH), soft_wrap=True, stderr=stderr)


def plain_table(*columns: str) -> Table:
    """A table without lines; nothing in it is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != "hash")
    return table


def _text(value: object) -> str:
    return UNKNOWN if value is None else str(value)


def _amount(value: object) -> str:
    """A quantity in hexadecimal is an amount of wei; hashes and addresses are as they are."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = _text(value)
    if not re.fullmatch(r"-?0x[0-9a-f]{1,39}", text):
        return text
    return format_amount(int(text, 16))
