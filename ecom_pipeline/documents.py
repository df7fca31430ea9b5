"""YAML documents that people write (settings, profiles), checked against a schema; errors name the line."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

Schema = TypeVar("Schema", bound=BaseModel)

MOST_NODES = 100_000
"""Values in a document, aliases counted each time they are used; people write far fewer."""


class DocumentError(ValueError):
    """A document cannot be used; the message names file, line, and what would be right."""


def read_document(path: Path, schema: type[Schema]) -> Schema:
    """Read `path` as YAML and check it against `schema`.

    Raises:
        DocumentError: if the file is missing, is not YAML, repeats a key or breaks the schema.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DocumentError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DocumentError(f"{path}: is a folder, not a file") from None
    except PermissionError:
        raise DocumentError(f"{path}: may not be read; give the user that runs the pipeline the right to") from None
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
        if _expanded_size(root, {}) > MOST_NODES:
            raise DocumentError(f"{name}: more than {MOST_NODES:,} values once its aliases are written out")
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
            f"{name}:{_line_of(root, problem['loc'])}: {_place(problem['loc'])}: "
            f"{_in_words(problem['type'], problem['msg'], problem['loc'], schema)}"
            for problem in error.errors(include_url=False)
        ]
        raise DocumentError("\n".join(lines)) from None


def _required(schema: type[BaseModel]) -> str:
    names = [name for name, field in schema.model_fields.items() if field.is_required()]
    return "the keys " + ", ".join(names) if names else "keys of " + schema.__name__


def _place(location: tuple[int | str, ...]) -> str:
    """The location on one line, whatever its keys are made of."""
    steps = (step if isinstance(step, str) and step.isprintable() else repr(step) for step in location)
    return ".".join(steps) or "document"


def _in_words(kind: str, message: str, location: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    if kind != "extra_forbidden":
        return message
    keys = _keys_at(schema, location[:-1])
    close = get_close_matches(str(location[-1]), keys, n=1)
    if close:
        return f"no such key here; did you mean {close[0]}?"
    return "no such key here" + (f"; keys here are {', '.join(keys)}" if keys else "")


def _keys_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the schema has at a place in the document."""
    models = [schema]
    for step in location:
        inner = [
            model
            for outer in models
            for field_name, field in outer.model_fields.items()
            if step in (field_name, field.alias)
            for model in _models_in(field.annotation)
        ]
        models = inner or models  # a position in a list, a key of a free mapping or the branch of a union
    return [field.alias or name for model in models for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _expanded_size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below the node, those of an alias counted wherever it stands."""
    if id(node) not in known:
        known[id(node)] = 1  # for an alias inside what it names; loading refuses it
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        known[id(node)] = 1 + sum(_expanded_size(child, known) for child in children)
    return known[id(node)]


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
