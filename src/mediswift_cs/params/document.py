"""Reading a params file: safe YAML that refuses a key written twice."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from mediswift_cs.errors import ConfigError

# The largest of ModelZoo's own files has 200 nodes; aliases can make a small file endless.
MAX_NUM_NODES = 100_000


class _Loader(yaml.SafeLoader):
    """SafeLoader builds plain data only: no Python object, no code."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._flattened: set[yaml.MappingNode] = set()
        self._num_entries = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called for a mapping that is built, and for each use of one in a merge key (``<<``)."""
        # A merge leaves its entries in the node, where the keys of this mapping may replace them.
        if node not in self._flattened:
            self._flattened.add(node)
            self._refuse_repeated_keys(node)
        super().flatten_mapping(node)
        # Merged entries are copied, so they are counted before that and not in the result.
        self._num_entries += len(node.value)
        if self._num_entries > MAX_NUM_NODES:
            raise _TooManyEntriesError

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

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
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


class _TooManyEntriesError(Exception):
    """Merge keys make a document larger than is allowed."""


def read_yaml(path: Path) -> Any:
    """The content of a YAML file as plain data.

    Raises:
        ConfigError: the file is not readable or not plain YAML.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a params file.

    Raises:
        ConfigError: the file is not readable or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}") from error


def parse_yaml(text: str, source: str) -> Any:
    """Plain data from YAML text.

    Raises:
        ConfigError: the text is not plain YAML.
    """
    try:
        content = yaml.load(text, _Loader)
    except _TooManyEntriesError as error:
        raise ConfigError(
            f"{source} has more than {MAX_NUM_NODES} values when its merge keys are written out, "
            f"allowed: at most {MAX_NUM_NODES}"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{source} is not plain YAML: it is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source} is not plain YAML: {_explain(error)}") from error
    try:
        num_nodes = _num_nodes(content, {})
    except RecursionError as error:
        raise ConfigError(f"{source} has an alias that contains itself") from error
    if num_nodes > MAX_NUM_NODES:
        raise ConfigError(
            f"{source} has {num_nodes} values when its aliases are written out, "
            f"allowed: at most {MAX_NUM_NODES}"
        )
    return content


def _explain(error: yaml.YAMLError) -> str:
    """The parser's complaint in one line."""
    mark = getattr(error, "problem_mark", None)
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    reason = getattr(error, "problem", None) or str(error)
    return " ".join(f"{reason}{place}".split())


def _num_nodes(value: Any, known: dict[int, int]) -> int:
    """Values in a document with its aliases written out; each alias is counted once."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        children = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_num_nodes(child, known) for child in children)
    return known[id(value)]
