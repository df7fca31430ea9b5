"""Which columns of which tables each column of a query comes from, read from DuckDB's own parse of the query.

What belongs here: walking the syntax tree. Sources are those of a column's value, through common table expressions and
subqueries; what only filters, joins or orders rows is no source.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from ecom_pipeline.warehouse.sql_files import bound_for_duckdb

Source = tuple[str, str]
Columns = dict[str, frozenset[Source]]
Node = dict[str, Any]
NONE: frozenset[Source] = frozenset()


@dataclass(frozen=True)
class _Scope:
    """What names stand for: relations by alias, earlier columns of the same SELECT, and the scope around."""

    relations: Mapping[str, Columns]
    aliases: Columns = field(default_factory=dict)
    outer: "_Scope | None" = None

    def find(self, parts: list[str]) -> frozenset[Source]:
        *qualifier, name = (part.lower() for part in parts)
        if qualifier:
            relation = self.relations.get(qualifier[-1])
            if relation is not None:
                return relation.get(name, NONE)
        else:
            for relation in self.relations.values():
                if name in relation:
                    return relation[name]
            if name in self.aliases:
                return self.aliases[name]
        return self.outer.find(parts) if self.outer is not None else NONE


def columns_behind(sql: str, tables: Mapping[str, tuple[str, ...]]) -> Columns:
    """Column of the query -> the columns of `tables` (name -> columns) that its value comes from. Relations that are
    none of them give no sources.

    Raises:
        ValueError: if DuckDB cannot parse the query.
    """
    with duckdb.connect() as connection:
        ((text,),) = connection.execute(
            "SELECT json_serialize_sql(CAST(? AS VARCHAR))", [bound_for_duckdb(sql)]
        ).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        raise ValueError(f"cannot be parsed: {tree['error_message']}")
    known = {name.lower(): {column: frozenset({(name, column)}) for column in names} for name, names in tables.items()}
    return _query(tree["statements"][0]["node"], known, None)


def _query(node: Node, known: Mapping[str, Columns], outer: _Scope | None) -> Columns:
    visible = dict(known)
    for entry in node.get("cte_map", {}).get("map", ()):
        visible[entry["key"].lower()] = _query(entry["value"]["query"]["node"], visible, outer)
    if node["type"] == "SET_OPERATION_NODE":
        return _positionwise(_query(node["left"], visible, outer), _query(node["right"], visible, outer))
    if node["type"] != "SELECT_NODE":
        raise ValueError(f"a {node['type']} is not understood")
    relations: dict[str, Columns] = {}
    _relations(node["from_table"], visible, outer, relations)
    found: Columns = {}
    for expression in node["select_list"]:
        if expression["class"] == "STAR":
            wanted = expression.get("relation_name", "").lower()
            for alias, relation in relations.items():
                if not wanted or alias == wanted:
                    found |= relation
            continue
        scope = _Scope(relations, found, outer)
        name = expression["alias"] or (expression.get("column_names") or [f"column_{len(found)}"])[-1]
        found[name.lower()] = _sources(expression, scope, visible)
    return found


def _positionwise(left: Columns, right: Columns) -> Columns:
    """The names of the left side; VALUES and UNION match by position."""
    matched = list(right.values())
    return {
        name: sources | (matched[place] if place < len(matched) else NONE)
        for place, (name, sources) in enumerate(left.items())
    }


def _relations(
    node: Node | None, known: Mapping[str, Columns], outer: _Scope | None, found: dict[str, Columns]
) -> None:
    """Fill `found` with the relations of a FROM clause by their aliases."""
    if node is None:
        return
    kind = node["type"]
    alias = (node.get("alias") or "").lower()
    if kind == "BASE_TABLE":
        name = node["table_name"].lower()
        found[alias or name] = _renamed(known.get(name, {}), node)
    elif kind == "SUBQUERY":
        found[alias or f"subquery {len(found)}"] = _renamed(_query(node["subquery"]["node"], known, outer), node)
    elif kind == "JOIN":
        _relations(node["left"], known, outer, found)
        _relations(node["right"], known, outer, found)
    elif alias:  # lists of values and table functions come from no table
        found[alias] = {name.lower(): NONE for name in node.get("column_name_alias") or ()}


def _renamed(columns: Columns, node: Node) -> Columns:
    names = node.get("column_name_alias") or []
    if not names:
        return columns
    return {
        names[place].lower() if place < len(names) else name: sources
        for place, (name, sources) in enumerate(columns.items())
    }


def _sources(node: Any, scope: _Scope, known: Mapping[str, Columns]) -> frozenset[Source]:
    """Columns that an expression names, in its branches, arguments and windows."""
    if isinstance(node, list):
        return frozenset().union(*(_sources(one, scope, known) for one in node))
    if not isinstance(node, dict):
        return NONE
    if node.get("class") == "COLUMN_REF":
        return scope.find(node["column_names"])
    if node.get("class") == "SUBQUERY":
        inner = _query(node["subquery"]["node"], known, scope)
        return frozenset().union(*inner.values()) | _sources(node.get("child"), scope, known)
    return frozenset().union(*(_sources(value, scope, known) for value in node.values()))
