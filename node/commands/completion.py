"""Completion for shells: what cyclopts generates, and the names of nodes."""

from collections.abc import Iterator

from cyclopts import App

NODE = "NODE"
BASH_NODES = r"""
# Names of nodes, where a command takes them: those in the directory of the network.
_atoll_and_nodes() {
  _atoll
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" directory=".atoll" i
  [[ "${word}" == -* || "${before}" == -[!fw-]* || "${before}" == --dir ]] && return
  for ((i=1; i<COMP_CWORD; i++)); do
    [[ "${COMP_WORDS[i]}" == --dir ]] && directory="${COMP_WORDS[i+1]}"
  done
  case " ${COMP_WORDS[*]:1:COMP_CWORD-1} " in
    COMMANDS)
      local node
      for node in "${directory}"/nodes/*/node.toml; do
        node="${node%/node.toml}"; node="${node##*/}"
        [[ "${node}" != "*" && "${node}" == "${word}"* ]] && COMPREPLY+=("${node}")
      done
      ;;
  esac
}
complete -F _atoll_and_nodes atoll
"""


def bash_nodes(app: App) -> str:
    """The text that follows the completion of cyclopts for bash."""
    patterns = "|".join(f'" {" ".join(name)} "*' for name in commands_with_nodes(app))
    return BASH_NODES.replace("COMMANDS", patterns)


def commands_with_nodes(app: App, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of the commands that take the name of a node."""
    for name in app:
        if name.startswith("-"):
            continue
        command, names = app[name], (*prefix, name)
        inner = [other for other in command if not other.startswith("-")]
        if inner:
            yield from commands_with_nodes(command, names)
        elif any(argument.name == NODE for argument in command.assemble_argument_collection()):
            yield names
