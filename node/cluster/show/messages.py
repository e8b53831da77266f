"""Messages between shards, as trees and lines for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.tree import Tree

from node.cluster.client.units import format_amount
from node.cluster.show.tables import UNKNOWN, plain_table
from node.terminal import shows

OUTCOME_STYLES = {"ok": "green", "failed": "bold red", "departed": "cyan", "forwarded": "cyan"}
STATUS_STYLES = {"delivered": "green", "finalised": "yellow", "sent": "yellow", "pending": "yellow"}


@shows
def trace_tree(document: Mapping[str, Any]) -> RenderableType:
    """The answer to `atoll_trace`."""
    root = document["root"]
    tree = Tree(_label(root), guide_style="dim")
    branches = [(tree, root)]
    while branches:
        branch, node = branches.pop()
        for child in node["children"]:
            branches.append((branch.add(_label(child)), child))
        if node["truncated"]:
            branch.add(f"[yellow]... {node['truncated']} more, not shown[/]")
    if document["complete"]:
        verdict = f"[green]complete[/]: {_count(document['messages'], 'message')}"
    elif document["truncated"]:
        verdict = f"[yellow]truncated[/]: {_count(document['messages'], 'message')} shown"
    else:
        under_way = document["underWay"]
        verdict = f"[yellow]under way[/]: {under_way} of {_count(document['messages'], 'message')}"
        if root["status"] == "pending":
            verdict = "[yellow]pending[/]: in the pool of its shard"
    return Group(tree, verdict)


@shows
def message_story(document: Mapping[str, Any]) -> RenderableType:
    """The answer to `atoll_message`: what it is, a line for each stage of each leg, and what it caused."""
    facts = Table.grid(padding=(0, 2))
    lane = f"#{document['seq']} of the lane {document['src']} -> {document['dst']}"
    facts.add_row("message", document["id"])
    facts.add_row("kind", f"{document['kind']}, {lane}")
    facts.add_row("from", document["from"])
    facts.add_row("to", document["to"])
    facts.add_row("value", _wei(document["value"]))
    facts.add_row("gas", f"{document['gas']:,}")
    if document["inReplyTo"]:
        facts.add_row("in reply to", document["inReplyTo"])
    facts.add_row("transaction", document["originTx"])
    facts.add_row("status", _styled(document["outcome"] or document["status"]))
    stages = plain_table("", "shard", "block", "index", "network block", "")
    caused: list[str] = []
    for leg in document["legs"]:
        for row in _stages(leg):
            stages.add_row(*row)
        if leg["delivered"] is not None:
            caused += map(_caused, leg["delivered"]["caused"])
            if leg["delivered"]["truncated"]:
                caused.append(f"and {leg['delivered']['truncated']} more, not shown")
    return Group(facts, "", stages, *(["", *caused] if caused else []))


@shows
def lane_table(lanes: list[dict[str, Any]]) -> RenderableType:
    """The answer to `atoll_lanes`."""
    table = plain_table(
        "lane", "sent", "crosslinked", "delivered", "waiting", "their gas", "oldest", ""
    )
    for lane in lanes:
        oldest = lane["oldest"]
        age = (
            UNKNOWN
            if oldest is None
            else "new"
            if oldest["age"] is None
            else f"{oldest['age']} blocks"
        )
        table.add_row(
            f"{lane['src']} -> {lane['dst']}",
            _position(lane["outbox"]),
            str(lane["crosslinked"]["count"]),
            _position(lane["inbox"]),
            f"{lane['waiting']['asked']:,} of {lane['window']['count']:,}",
            f"{lane['waiting']['gas']:,} of {lane['window']['gas']:,}",
            age,
            "[bold red]full[/]" if lane["full"] else "",
        )
    return table


@shows
def audit_line(document: Mapping[str, Any]) -> str:
    """One audit as one line."""
    verdict = "[green]balanced[/]"
    if document["balanced"] is not True:
        sign = "-" if document["difference"].startswith("-") else "+"
        amount = format_amount(abs(int(document["difference"], 16)))
        off = [f"shard {s['id']}" for s in document["shards"] if int(s["difference"], 16)]
        off += [
            f"lane {o['src']}->{o['dst']}" for o in document["lanes"] if int(o["difference"], 16)
        ]
        verdict = f"[bold red]does not balance: {sign}{amount} ({', '.join(off)})[/]"
    flight = sum(lane["sent"] - lane["consumed"] for lane in document["lanes"])
    issued = int(document.get("issued", "0x0"), 16)
    made = f"  issued {'-' if issued < 0 else ''}{format_amount(abs(issued))}" if issued else ""
    return (
        f"block {document['block']:>6}  {verdict}  balances {_wei(document['balances'])}  "
        f"in flight {_wei(document['inFlight'])} ({_count(flight, 'message')})  "
        f"burned {_wei(document['burned'])}{made}"
    )


def _label(node: Mapping[str, Any]) -> str:
    to = node["to"] or "a new contract"
    where = f"shard {node['shard']}"
    if node["src"] != node["shard"]:
        where = f"shard {node['src']} -> {node['shard']}"
    if node["block"] is not None:
        where += f", block {node['block']} #{node['index']}"
    gas = UNKNOWN if node["gasUsed"] is None else f"{node['gasUsed']:,}"
    return (
        f"[bold]{node['kind']}[/] {_styled(node['outcome'] or node['status'])}  {where}  "
        f"{_short(node['from'])} -> {_short(to)}  {_wei(node['value'])}  "
        f"gas {gas} of {node['gas']:,}  [dim]{node['id']}[/]{_unavailable(node)}"
    )


def _unavailable(document: Mapping[str, Any]) -> str:
    """The reason why the arrival of a message cannot be told, if it cannot."""
    return f"  [red]{document['unavailable']}[/]" if "unavailable" in document else ""


def _stages(leg: Mapping[str, Any]) -> list[tuple[str, ...]]:
    sent, finalised, delivered = leg["sent"], leg["finalised"], leg["delivered"]
    rows: list[tuple[str, ...]] = [
        (
            "sent",
            str(sent["shard"]),
            str(sent["block"]),
            str(sent["index"]),
            "",
            f"by {sent['item']}",
        )
    ]
    if finalised is not None:
        rows.append(("finalised", "", "", "", str(finalised["networkBlock"]), ""))
    if "unavailable" in leg:
        rows.append(("", str(leg["dst"]), "", "", "", _unavailable(leg).strip()))
    if delivered is not None:
        number = delivered["networkBlock"]
        rows.append(
            (
                "delivered",
                str(delivered["shard"]),
                str(delivered["block"]),
                str(delivered["index"]),
                UNKNOWN if number is None else str(number),
                f"{_styled(delivered['outcome'])}, gas {delivered['gasUsed']:,}",
            )
        )
    return rows


def _caused(caused: Mapping[str, Any]) -> str:
    return (
        f"caused a {caused['relation']} to {caused['to']} on shard {caused['dst']}, "
        f"{_wei(caused['value'])}: {caused['id']}"
    )


def _position(end: Mapping[str, Any] | None) -> str:
    return UNKNOWN if end is None else str(end["count"])


def _styled(word: str) -> str:
    style = OUTCOME_STYLES.get(word) or STATUS_STYLES.get(word)
    return f"[{style}]{word}[/]" if style else word


def _short(address: str) -> str:
    return f"{address[:8]}..{address[-4:]}" if address.startswith("0x") else address


def _wei(quantity: str) -> str:
    return format_amount(int(quantity, 16))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
