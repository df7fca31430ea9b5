"""All tables by name. The declarations themselves live in one module a layer."""

from ecom_pipeline.contracts.core import CORE_TABLES
from ecom_pipeline.contracts.features import FEATURE_TABLES
from ecom_pipeline.contracts.marts import MART_TABLES
from ecom_pipeline.contracts.model import Layer, Table
from ecom_pipeline.contracts.operations import OPERATIONS_TABLES
from ecom_pipeline.contracts.people import PEOPLE_TABLES
from ecom_pipeline.contracts.trajectories import TRAJECTORY_TABLES

ALL_TABLES: dict[str, Table] = {
    declared.name: declared
    for declared in (
        *OPERATIONS_TABLES,
        *CORE_TABLES,
        *FEATURE_TABLES,
        *MART_TABLES,
        *PEOPLE_TABLES,
        *TRAJECTORY_TABLES,
    )
}

PUBLISHED_TABLES: dict[str, Table] = {
    declared.published_as: declared for declared in ALL_TABLES.values() if declared.published_as is not None
}
"""Published name -> contract."""


def table(name: str) -> Table:
    """The contract of the table `name`."""
    try:
        return ALL_TABLES[name]
    except KeyError:
        raise KeyError(f"no contract declares the table {name!r}; declared are {sorted(ALL_TABLES)}") from None


def tables_of_layer(layer: Layer) -> tuple[Table, ...]:
    """The contracts of one layer, in order of declaration."""
    return tuple(declared for declared in ALL_TABLES.values() if declared.layer == layer)
