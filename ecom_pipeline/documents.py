"""YAML documents that people write (settings, profiles), checked against a schema; errors name the line."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Schema = TypeVar("Schema", bound=BaseModel)


class DocumentError(ValueError):
    """A document cannot be used; the message names file, line, and what would be right."""


def read_document(path: Path, schema: type[Schema]) -> Schema:
    """Read `path` as YAML and check it against `schema`.

    Raises:
        DocumentError: if the file is missing, is not YAML, repeats a key or breaks the schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DocumentError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None
    return parse_document(text, schema, name=str(path))


def parse_document(text: str, schema: type[Schema], *, name: str) -> Schema:
    """Check the YAML `text` against `schema`; `name` stands for the file in errors."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise DocumentError(f"{name}: the document is empty; it needs {_required(schema)}")
        _refuse_repeated_keys(root, name)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise DocumentError(f"{where}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, DocumentError):
            raise
        raise DocumentError(f"{name}: not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise DocumentError(f"{name}:1: expected a mapping with {_required(schema)}, found {type(values).__name__}")
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{name}:{_line_of(root, problem['loc'])}: {'.'.join(map(str, problem['loc'])) or 'document'}: "
            f"{_in_words(problem['type'], problem['msg'], schema)}"
            for problem in error.errors(include_url=False)
        ]
        raise DocumentError("\n".join(lines)) from None


def _required(schema: type[BaseModel]) -> str:
    names = [name for name, field in schema.model_fields.items() if field.is_required()]
    return "the keys " + ", ".join(names) if names else "keys of " + schema.__name__


def _in_words(kind: str, message: str, schema: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return "no such key here; keys at the top are " + ", ".join(schema.model_fields)
    return message.removeprefix("Value error, ")


def _line_of(node: yaml.Node, location: tuple[int | str, ...]) -> int:
    """Line (from 1) of the deepest part of `location` that the document has."""
    line = node.start_mark.line + 1
    for step in location:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    child, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            line = child.start_mark.line + 1
        if child is None:
            continue  # pydantic also names union branches, which the document does not have
        node = child
    return line


def _refuse_repeated_keys(node: yaml.Node, name: str) -> None:
    pending = [node]
    seen_nodes: set[int] = set()
    while pending:
        current = pending.pop()
        if id(current) in seen_nodes:  # an alias
            continue
        seen_nodes.add(id(current))
        if isinstance(current, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in current.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        raise DocumentError(f"{name}:{key.start_mark.line + 1}: the key {key.value!r} is given twice")
                    keys.add(key.value)
                pending.append(value)
        elif isinstance(current, yaml.SequenceNode):
            pending.extend(current.value)
