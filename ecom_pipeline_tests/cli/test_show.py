"""`show`, `status`, `nightly --dry-run` and the help of every command."""

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer
from typer.testing import CliRunner, Result

from ecom_pipeline.cli import app
from ecom_pipeline.cli.quarantine_context import context_of
from ecom_pipeline.cli.terminal_plot import EXPECTED, SHADE, SOLD, TONIGHT, Day, plot
from ecom_pipeline.privacy.pseudonyms import KEY_VARIABLE, pseudonym
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.conftest import SMALL_SHOP, PublishedShop
from ecom_pipeline_tests.report.conftest import HOSTILE

DESCRIPTION = "comes at weekends (80% of the events, others 20%)"


def ecom(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def test_a_forecast_is_drawn_and_summed_up(home: Path) -> None:
    done = ecom("show", "forecast", "--home", home)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("All sales  quantity a day")
    assert "next 7 days 28" in done.stdout
    assert all(sign in done.stdout for sign in (SOLD, EXPECTED, SHADE, TONIGHT))
    told = json.loads(ecom("show", "forecast", "group 1", "--measure", "revenue", "--json", "--home", home).stdout)
    assert (told["level"], told["series_id"], len(told["sold"]), len(told["forecast"])) == (
        "category",
        "group 1",
        42,
        28,
    )


def test_a_series_is_found_by_id_or_by_a_part_of_its_name(home: Path) -> None:
    assert ecom("show", "forecast", "i7", "--home", home).stdout.startswith("Item 7")
    assert ecom("show", "forecast", "ITEM 7", "--home", home).stdout.startswith("Item 7")
    several = ecom("show", "forecast", "item", "--home", home)
    assert several.exit_code == 2
    assert "8 products have 'item' in their names" in several.stderr
    none = ecom("show", "forecast", "itme 7", "--home", home)
    assert none.exit_code == 4
    assert "Alike are: i7 (Item 7)" in none.stderr
    both = ecom("show", "forecast", "group", "--home", home)
    assert both.exit_code == 2
    assert "3 categories (group 0, group 1, group 2) and of 0 products" in both.stderr
    gone = ecom("show", "forecast", "i9", "--home", home)
    assert "Item 9 has no quantity forecast" in gone.stderr


def test_a_user_is_shown_with_history_and_what_comes_next(home: Path) -> None:
    done = ecom("show", "user", "u1", "--home", home)
    assert done.exit_code == 0, done.output
    assert "loyal" in done.stdout or "at risk" in done.stdout
    assert "10.0% in 7 days" in done.stdout
    told = json.loads(ecom("show", "user", "u1", "--events", "3", "--json", "--home", home).stdout)
    assert (len(told["history"]), [row["rank"] for row in told["recommendations"]]) == (3, [1, 2, 3, 4, 5])
    assert "Next 7 days: buys something with 6%; likeliest first step: nothing" in done.stdout
    assert told["next_step"] == {"likeliest": "nothing", "p_buys": 0.06, "window_days": 7, "description": DESCRIPTION}
    nobody = ecom("show", "user", "u1x", "--home", home)
    assert nobody.exit_code == 4
    assert "Alike are: u1" in nobody.stderr


def test_a_hashed_user_is_found_by_the_own_id(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "a key of some length"
    shop = Path(shutil.copytree(home, tmp_path / "hashed"))
    (shop / "settings.yaml").write_text("profile: sample\nhash_user_ids: true\n", encoding="utf-8")
    hashed = pseudonym("u1", key.encode())
    with duckdb.connect(str(shop / "published" / "analytics.duckdb")) as connection:
        for table in ("user_events", "recommendations", "purchase_predictions", "user_rfm"):
            connection.execute(f"UPDATE {table} SET user_id = ? WHERE user_id = 'u1'", [hashed]).fetchall()
    monkeypatch.setenv(KEY_VARIABLE, key)
    for asked in ("u1", hashed):
        assert json.loads(ecom("show", "user", asked, "--json", "--home", shop).stdout)["user_id"] == hashed
    monkeypatch.delenv(KEY_VARIABLE)
    assert ecom("show", "user", "u1", "--home", shop).exit_code == 4


def test_a_product_is_shown_with_what_is_alike(home: Path) -> None:
    told = json.loads(ecom("show", "item", "i1", "--json", "--home", home).stdout)
    assert told["expected_units_next_7_days"] == 28
    assert [row["item_id"] for row in told["similar"]] == ["i2", "i3", "i4"]
    assert "Item 2" in ecom("show", "item", "i1", "--home", home).stdout


def test_a_hostile_name_is_printed_as_it_is(home: Path) -> None:
    assert HOSTILE.split(">")[0] in ecom("show", "item", "i3", "--home", home).stdout


def test_a_quarantined_row_is_shown_among_its_lines(home: Path) -> None:
    assert "no price" in ecom("show", "quarantine", "--home", home).stdout
    done = ecom("show", "quarantine", "orders", "--home", home)
    assert "order,sku" in done.stdout
    assert "▶        7  7,i7" in done.stdout
    assert "9,i9" in done.stdout
    assert "10,i10" not in done.stdout
    wrong = ecom("show", "quarantine", "browse", "--home", home)
    assert wrong.exit_code == 4
    assert "Nothing is in quarantine for 'browse'. There are rows of orders." in wrong.stderr
    wrong = ecom("show", "quarantine", "orders", "--rule", "price", "--home", home)
    assert "for 'orders --rule price'. Rules of orders with rows in it are no_price." in wrong.stderr


def test_lines_of_a_compressed_file_and_of_none(tmp_path: Path) -> None:
    file = tmp_path / "a.csv.gz"
    with gzip.open(file, "wt", encoding="utf-8") as opened:
        opened.write("h\n1\n2\n3\n")
    assert context_of(file, 4).lines == ((1, "h"), (2, "1"), (3, "2"), (4, "3"))
    assert context_of(tmp_path / "b.parquet", 1).why_not == "b.parquet is no text file"
    assert "not in landing any more" in str(context_of(tmp_path / "c.csv", 1).why_not)
    assert "no line number" in str(context_of(file, None).why_not)


def test_a_plot_puts_the_greatest_value_on_top_and_zero_at_the_bottom() -> None:
    drawn = plot([Day(sold=0.0), Day(sold=10.0), Day(mean=5.0, low=0.0, high=10.0)], height=5).plain.split("\n")
    assert drawn[0].endswith(f" {SOLD}{TONIGHT}{SHADE}")
    assert drawn[4].endswith(f"{SOLD} {TONIGHT}{SHADE}")
    assert drawn[2].endswith(f"  {TONIGHT}{EXPECTED}")
    assert plot([Day(sold=None), Day(mean=0.0, low=0.0, high=0.0)]).plain.count(EXPECTED) == 1


def test_a_dry_run_tells_what_is_new_and_does_nothing(copy_of_shop: Callable[[], Home]) -> None:
    home = copy_of_shop()
    before = {path: path.stat().st_mtime_ns for path in home.root.rglob("*.duckdb")}
    (home.landing / "orders" / "orders_2099-01.csv").write_text("order\n", encoding="utf-8")
    night = SMALL_SHOP.last_day.isoformat()
    done = ecom("nightly", "--dry-run", "--as-of", night, "--json", "--home", home.root)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["new_files"] == ["orders/orders_2099-01.csv"]
    assert (told["changed_files"], told["replaces_itself"], told["last_night"]) == ([], True, night)
    assert told["known_files"] > 3
    assert {model["model"]: model["trains"] for model in told["models"]} == {
        "sales_forecaster": False,
        "next_item": False,
    }
    assert {path: path.stat().st_mtime_ns for path in home.root.rglob("*.duckdb")} == before
    assert "nothing is done" in ecom("nightly", "--dry-run", "--as-of", night, "--home", home.root).stdout


def test_status_names_the_report_and_the_models(published_shop: PublishedShop) -> None:
    told = json.loads(ecom("status", "--json", "--home", published_shop.home.root).stdout)
    assert told["report"].endswith("published/report.html")
    assert {model["model"] for model in told["models"]} == {"sales_forecaster", "next_item"}


def commands() -> Iterator[tuple[str, Any]]:
    def below(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield path, command
            return
        for name, child in sorted(children.items()):
            yield from below(child, f"{path} {name}")

    yield from below(typer.main.get_command(app), "ecom-pipeline")


@pytest.mark.parametrize("path", [path for path, _ in commands()])
def test_every_command_says_what_it_does_and_gives_an_example(path: str) -> None:
    help_text = dict(commands())[path].help or ""
    assert help_text.strip().splitlines()[0].endswith((".", ":")), path
    assert f"{path} " in help_text.partition("Example")[2] + " ", path


def test_completion_knows_the_published_tables() -> None:
    from ecom_pipeline.cli.tables import published_tables

    assert published_tables("sales_f") == ["sales_forecast_accuracy", "sales_forecasts"]
