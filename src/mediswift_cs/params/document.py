"""Reading a params file: safe YAML that refuses a key written twice."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from mediswift_cs.errors import ConfigError
from mediswift_cs.storage.read import read_text

# The largest of ModelZoo's own files has 200 nodes; aliases can make a small file endless.
MAX_NUM_NODES = 100_000


class _Loader(yaml.SafeLoader):
    """SafeLoader builds plain data only: no Python object, no code."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it is written; what it merges (``<<``) comes later, when it is built."""
        node = super().compose_mapping_node(anchor)
        assert node is not None
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} is written twice", key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """PyYAML lets Python's own errors pass, for a value that is not what its tag says."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            kind = node.tag.rpartition(":")[2]
            # Of a date, which part of it; the other reasons are about Python.
            reason = f": {error}" if " must be in " in str(error) else ""
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value[:40]!r} is no {kind}{reason}", node.start_mark
            ) from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as plain data.

    Raises:
        ConfigError: the file is not readable or not plain YAML.
    """
    return parse_yaml(read_text(path, ConfigError), str(path))


def parse_yaml(text: str, source: str) -> Any:
    """Read YAML text as plain data.

    Raises:
        ConfigError: the text is not plain YAML.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        _refuse_endless(root, source)
        return None if root is None else loader.construct_document(root)
    except RecursionError as error:
        raise ConfigError(f"{source} is not plain YAML: it is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not plain YAML: {_explain(error)}") from error


def _refuse_endless(root: yaml.Node | None, source: str) -> None:
    try:
        num_nodes = _num_nodes(root, {})
    except RecursionError as error:
        raise ConfigError(f"{source} has an alias that contains itself") from error
    if num_nodes > MAX_NUM_NODES:
        raise ConfigError(
            f"{source} has more than {MAX_NUM_NODES} values when its merge keys and aliases are "
            f"written out, allowed: at most {MAX_NUM_NODES}"
        )


def _explain(error: yaml.YAMLError) -> str:
    """The parser's complaint in one line."""
    mark = getattr(error, "problem_mark", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    reason = getattr(error, "problem", None) or str(error)
    return " ".join(f"{reason}{place}".split())


def _num_nodes(node: yaml.Node | None, known: dict[yaml.Node, int]) -> int:
    """Values in a document with its aliases written out; each alias is looked into once."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if node not in known:
        is_mapping = isinstance(node, yaml.MappingNode)
        children = [entry[1] for entry in node.value] if is_mapping else node.value
        known[node] = 1 + sum(_num_nodes(child, known) for child in children)
    return known[node]
