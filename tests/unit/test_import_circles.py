"""No two files of the tree import each other, directly or through others.

Imports for types and inside of functions count: a circle that only they close is one for whoever reads.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("node", "consensus", "p2p", "rpc", "tests", "tools", "benchmarks", "examples", "docs")
Graph = Mapping[str, Mapping[str, int]]
"""Module, what it imports, in which line."""


@pytest.mark.slow
def test_no_two_files_import_each_other() -> None:
    graph = graph_of({name: path.read_text("utf-8") for name, path in modules().items()})
    assert len(graph) > 500
    found = [described(graph, circle) for circle in circles(graph)]
    assert not found, "these files import each other:\n" + "\n\n".join(found)


def test_every_kind_of_import_closes_a_circle() -> None:
    graph = graph_of(
        {
            "a": "from b.types import T",
            "b": "",
            "b.types": "if TYPE_CHECKING:\n    from . import late",
            "b.late": "def f():\n    import c.d",
            "c": "from c.d import D",
            "c.d": "from a import T\nimport json",
            "apart": "import a",
        }
    )
    (found,) = circles(graph)
    assert set(found) == {"a", "b.types", "b.late", "c.d"}
    assert described(graph, found) == (
        "    a:1 imports b.types\n"
        "    b.types:2 imports b.late\n"
        "    b.late:2 imports c.d\n"
        "    c.d:1 imports a"
    )
    assert graph["c"] == {"c.d": 1}


def modules() -> dict[str, Path]:
    """Every file of Python, by the name that others import it with. A package has that of its folder."""
    found = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if not any(part.startswith(".") or part == "node_modules" for part in parts):
                found[_name(parts)] = path
    return found


def _name(parts: tuple[str, ...]) -> str:
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph_of(sources: Mapping[str, str]) -> Graph:
    """Who imports whom, of `sources` by module."""
    packages = {name.rpartition(".")[0] for name in sources}
    return {
        name: {
            module: line
            for module, line in reversed(list(imports(name, source, sources, name in packages)))
            if module != name
        }
        for name, source in sources.items()
    }


def imports(
    name: str, source: str, known: Mapping[str, str], is_package: bool
) -> Iterator[tuple[str, int]]:
    """(module, line) for each of `known` that is imported anywhere in `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = name.split(".")[: (None if is_package else -1)]
                up = up[: len(up) - node.level + 1]
                base = ".".join([*up, *([base] if base else [])])
            for alias in node.names:
                module = f"{base}.{alias.name}"
                if module in known or base in known:
                    yield (module if module in known else base), node.lineno


def circles(graph: Graph) -> Iterator[list[str]]:
    """Every set of modules in which each leads to each (strongly connected components, Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(name: str) -> Iterator[list[str]]:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in graph[name]:
            if other not in number:
                yield from visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            component = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(component) > 1:
                yield component

    for name in graph:
        if name not in number:
            yield from visit(name)


def described(graph: Graph, component: list[str]) -> str:
    """The shortest way from a module of it back to that module, an import a line."""
    start = min(component)
    came: dict[str, str] = {}
    queue = [start]
    for name in queue:
        for other in graph[name]:
            if other in component and other not in came:
                came[other] = name
                queue.append(other)
    way = [came[start]]
    while way[-1] != start:
        way.append(came[way[-1]])
    way.reverse()
    return "\n".join(
        f"    {name}:{graph[name][after]} imports {after}"
        for name, after in zip(way, [*way[1:], start], strict=True)
    )
