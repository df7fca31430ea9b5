"""What a person names on the command line, found in the published file: a series, a product, a user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.settings import Home

if TYPE_CHECKING:
    import duckdb

Level = Literal["total", "category", "product"]
Row = dict[str, Any]

MANY = 8
"""Products that an error lists at most."""


class PublishedNight:
    """The published file of a home, open for reading, and its latest night."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", as_of: date) -> None:
        self._connection = connection
        self.as_of = as_of

    def tuples(self, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def rows(self, sql: str, parameters: list[Any]) -> list[Row]:
        """All rows of a query, by the names of their columns."""
        answer = self._connection.execute(sql, parameters)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def published_file(shop: Home) -> Path:
    """The published file of a home.

    Raises:
        CommandError: if no night was published yet.
    """
    if not shop.published_file.is_file():
        raise CommandError(
            f"{shop.published_file}: no night was published yet. Run one with: ecom-pipeline nightly --home {shop.root}"
        )
    return shop.published_file


@contextmanager
def published_night(shop: Home) -> Iterator[PublishedNight]:
    """The published file, open for reading.

    Raises:
        CommandError: if no night was published yet.
    """
    import duckdb

    connection = duckdb.connect(str(published_file(shop)), read_only=True)
    try:
        ((as_of,),) = connection.execute("SELECT max(as_of) FROM about").fetchall()
        if as_of is None:
            raise CommandError(
                f"{shop.published_file}: holds no night yet. Run one with: ecom-pipeline nightly --home {shop.root}"
            )
        yield PublishedNight(connection, as_of)
    finally:
        connection.close()


def series_named(published: PublishedNight, wanted: str) -> tuple[Level, str, str]:
    """Level, id and name of what was asked for: nothing is the total, a category's name goes before a product's."""
    if not wanted:
        return "total", "total", "All sales"
    categories = published.tuples(
        "SELECT DISTINCT series_id, lower(series_id) = lower(?) AS exact FROM sales_daily "
        "WHERE level = 'category' AND contains(lower(series_id), lower(?)) ORDER BY exact DESC, series_id",
        [wanted, wanted],
    )
    if categories and categories[0][1]:
        return "category", categories[0][0], categories[0][0]
    products = _products_like(published, wanted)
    if categories and not (products and _is_exactly(products[0], wanted)):
        if products or len(categories) > 1:
            raise CommandError(
                f"{wanted!r} is a part of the names of {_counted(len(categories), 'category', 'categories')} "
                f"({', '.join(category for category, _ in categories[:MANY])}) and of "
                f"{_counted(len(products), 'product', 'products')}. Write the category in full, or name a product by "
                f"its id{f': {_listed(products)}' if products else ''}.",
                ExitCode.USAGE,
            )
        return "category", categories[0][0], categories[0][0]
    item_id, name = product_named(published, wanted)
    return "product", item_id, name


def product_named(published: PublishedNight, wanted: str) -> tuple[str, str]:
    """Id and name of a product named by its id or by a part of its name.

    Raises:
        CommandError: if there is none, or several.
    """
    found = _products_like(published, wanted)
    if not found:
        near = published.tuples(
            "SELECT item_id, coalesce(name, item_id) FROM items "
            "ORDER BY jaro_winkler_similarity(lower(coalesce(name, item_id)), lower(?)) DESC, item_id LIMIT 3",
            [wanted],
        )
        raise CommandError(f"No product or category is called {wanted!r}. Alike are: {_listed(near) or 'none'}.")
    if len(found) > 1 and not _is_exactly(found[0], wanted):
        raise CommandError(
            f"{len(found)} products have {wanted!r} in their names: {_listed(found)}. Name one by its id.",
            ExitCode.USAGE,
        )
    return found[0]


def _products_like(published: PublishedNight, wanted: str) -> list[tuple[str, str]]:
    """Ids and names of the products that may be meant, the one that is meant exactly first."""
    return [
        (item_id, name)
        for item_id, name in published.tuples(
            "SELECT item_id, coalesce(name, item_id) FROM items WHERE item_id = ? OR contains(lower(name), lower(?)) "
            "ORDER BY item_id = ? DESC, lower(name) = lower(?) DESC, last_sold DESC NULLS LAST, item_id",
            [wanted, wanted, wanted, wanted],
        )
    ]


def _is_exactly(product: tuple[str, str], wanted: str) -> bool:
    item_id, name = product
    return item_id == wanted or name.lower() == wanted.lower()


def _listed(products: list[tuple[Any, ...]]) -> str:
    """The first products with their names, and how many more there are."""
    named = ", ".join(f"{item_id} ({name})" if name != item_id else item_id for item_id, name in products[:MANY])
    return f"{named} and {len(products) - MANY} more" if len(products) > MANY else named


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def published_user(shop: Home, user_id: str) -> str:
    """The id under which a user is published: its hash, where the settings ask for hashes and the key is known."""
    from ecom_pipeline.privacy.pseudonyms import KEY_VARIABLE, LENGTH, hash_key, pseudonym

    settings = shop.settings()
    is_hash = len(user_id) == LENGTH and set(user_id) <= set("0123456789abcdef")
    if not settings.hash_user_ids or is_hash or not os.environ.get(KEY_VARIABLE):
        return user_id
    key = hash_key(settings)
    return user_id if key is None else pseudonym(user_id, key)
