"""The report as a file: every figure is the published one, nothing breaks out of it, nothing is asked of a network."""

import base64
import hashlib
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from ecom_pipeline.cli import app
from ecom_pipeline.report import ReportError, archived_report, nightly_report, report_beside, write_report
from ecom_pipeline.report.page import embedded
from ecom_pipeline.settings import Home
from ecom_pipeline_tests.conftest import PublishedShop
from ecom_pipeline_tests.report.conftest import HOSTILE, make_shop

EMBEDDED = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)
MIB = 1024**2


def data_of(file: Path) -> dict[str, Any]:
    match = EMBEDDED.search(file.read_text(encoding="utf-8"))
    assert match is not None
    found: dict[str, Any] = json.loads(match[1])
    return found


@pytest.fixture(scope="module")
def page(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(published, tmp_path_factory.mktemp("page") / "report.html", currency="EUR").file


@pytest.fixture(scope="module")
def sections(page: Path) -> dict[str, Any]:
    found: dict[str, Any] = data_of(page)["sections"]
    return found


def asked(published: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_headline_figures_are_sums_of_the_published_days(sections: dict[str, Any], published: Path) -> None:
    figures = {figure["key"]: figure for figure in sections["headline"]["figures"]}
    for key, column in (("units", "quantity"), ("revenue", "revenue"), ("orders", "orders")):
        for name, first, last in (
            ("value", "2025-06-24", "2025-06-30"),
            ("last_week", "2025-06-17", "2025-06-23"),
        ):
            ((expected,),) = asked(
                published,
                f"SELECT sum({column}) FROM sales_daily WHERE level = 'total' AND date BETWEEN '{first}' AND '{last}'",
            )
            assert figures[key][name] == pytest.approx(expected), (key, name)
    ((visits, bought),) = asked(
        published,
        "SELECT sum(sessions), sum(sessions_with_purchase) FROM funnel_daily "
        "WHERE level = 'total' AND date > '2025-06-23'",
    )
    assert (figures["visits"]["value"], figures["conversion"]["value"]) == (visits, pytest.approx(bought / visits))
    ((expected,),) = asked(
        published,
        "SELECT sum(mean) FROM sales_forecasts "
        "WHERE level = 'total' AND measure = 'quantity' AND target_date <= '2025-07-07'",
    )
    assert figures["next_units"]["value"] == pytest.approx(expected)
    assert figures["next_units"]["last_week"] == figures["units"]["value"]


def test_a_year_ago_is_the_same_weekdays(sections: dict[str, Any], published: Path) -> None:
    """The shop has no sales before 2024-07-01: of last year's week it has none, of the one after it has."""
    figures = {figure["key"]: figure for figure in sections["headline"]["figures"]}
    assert figures["units"]["last_year"] is None
    ((expected,),) = asked(
        published,
        "SELECT sum(quantity) FROM sales_daily WHERE level = 'total' AND date BETWEEN '2024-07-02' AND '2024-07-08'",
    )
    assert date(2024, 7, 2).weekday() == date(2025, 7, 1).weekday()
    assert figures["next_units"]["last_year"] == pytest.approx(expected)


def test_series_are_the_published_days_and_forecasts(sections: dict[str, Any], published: Path) -> None:
    series = {(one["level"], one["id"]): one for one in sections["forecast"]["series"]}
    assert len(series) == 1 + 3 + 9
    for level, series_id, measure, horizon, mean, p10, p90, baseline in asked(
        published,
        "SELECT level, series_id, measure, horizon, mean, p10, p90, baseline FROM sales_forecasts",
    ):
        forecast = series[level, series_id]["forecast"][measure]
        place = horizon - 1
        told = tuple(forecast[name][place] for name in ("mean", "p10", "p90", "baseline"))
        assert told == pytest.approx((mean, p10, p90, baseline), rel=1e-4)
    for level, series_id, days_ago, quantity in asked(
        published,
        "SELECT level, series_id, DATE '2025-06-30' - date, quantity FROM sales_daily "
        "WHERE date > '2025-05-01' AND series_id <> 'i9'",
    ):
        assert series[level, series_id]["sold"]["quantity"][-1 - days_ago] == pytest.approx(quantity, rel=1e-4)
    total = series["total", "total"]["totals"]["quantity"]
    ((last_week,),) = asked(
        published, "SELECT sum(quantity) FROM sales_daily WHERE level = 'total' AND date > '2025-06-23'"
    )
    assert (total["last_week"], total["next_week"], total["ahead"]) == (last_week, 28, 112)


def test_misses_value_added_and_paths_are_the_published_ones(sections: dict[str, Any], published: Path) -> None:
    ((outside,),) = asked(
        published,
        "SELECT count(DISTINCT series_id) FROM sales_forecast_accuracy "
        "WHERE level = 'product' AND measure = 'quantity' AND NOT in_80",
    )
    assert (sections["misses"]["forecasts"], sections["misses"]["outside"]) == (10, outside)
    assert {row["reason"] for row in sections["misses"]["worst"]} <= {"whole shop", "stock-out", "not known"}
    assert sum(row["units"] for row in sections["misses"]["reasons"]) == pytest.approx(5 * outside)
    row = sections["value"]["made"][0]
    assert (row["wape"], row["baseline_wape"], row["value_added"]) == pytest.approx((5 / 9, 6 / 9, 1 / 6), rel=1e-4)
    links = {(one["source"], one["target"]): one["visits"] for one in sections["paths"]["flows"]["event"]["links"]}
    assert links["1. view", "left"] == 100
    assert links["1. view", "bought"] == 10
    assert links["4. view", "5. more steps"] == 7
    assert all(source[0] < target[0] or target in ("bought", "left") for source, target in links)


MISSES = """
INSERT INTO about VALUES
  (DATE '2025-06-30', DATE '2025-06-30', 1, TIMESTAMP '2025-07-01', '0.1.0', NULL, true);
INSERT INTO items (item_id, name, first_seen)
SELECT i, i, CASE WHEN i = 'new' THEN DATE '2025-06-10' ELSE DATE '2024-01-01' END
FROM (VALUES ('new'), ('out'), ('promoted'), ('holiday'), ('shop'), ('odd'), ('fine')) AS t(i);
INSERT INTO sales_daily
SELECT 'product', item_id, DATE '2025-06-25' + CAST(n AS INTEGER), CASE WHEN item_id <> 'out' OR n <> 2 THEN 1 END,
       NULL, 1, NULL, 0, 0, item_id IN ('promoted', 'new'), 0, 0, item_id IN ('holiday', 'promoted'), false
FROM items CROSS JOIN range(6) AS t(n);
INSERT INTO sales_forecast_accuracy
SELECT DATE '2025-06-27', 'product', item_id, 'quantity', DATE '2025-06-28', 1,
       CASE WHEN item_id IN ('out', 'odd') THEN 0 ELSE 9 END, 4, 4, 2, 6, 4, 5, 5, item_id = 'fine', 'lstm', '1'
FROM items;
INSERT INTO sales_forecast_accuracy VALUES
  (
    DATE '2025-06-27', 'total', 'total', 'quantity', DATE '2025-06-28', 1, 90, 40, 40, 20, 60, 40, 50, 50, false,
    'lstm', '1'
  );
"""


def test_a_miss_gets_the_first_reason_that_fits(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "misses.duckdb", with_rows=False)
    with duckdb.connect(str(shop)) as connection:
        connection.execute(MISSES).fetchall()
    misses = data_of(write_report(shop, tmp_path / "report.html").file)["sections"]["misses"]
    assert (misses["forecasts"], misses["outside"]) == (7, 6)
    assert {row["item_id"]: row["reason"] for row in misses["worst"]} == {
        "new": "new product",
        "out": "stock-out",
        "promoted": "promotion",
        "holiday": "holiday",
        "shop": "whole shop",
        "odd": "not known",
    }


def test_recommendations_stand_beside_the_history(sections: dict[str, Any], published: Path) -> None:
    users = sections["people"]["users"]
    assert {user["segment"] for user in users[:3]} == {"champions", "at risk", "loyal"}
    for user in users:
        expected = asked(
            published,
            "SELECT r.rank, r.item_id, r.reason, p.probability FROM recommendations r "
            "JOIN purchase_predictions p USING (as_of, user_id, item_id) "
            f"WHERE user_id = '{user['user_id']}' ORDER BY rank",
        )
        told = [(row["rank"], row["item_id"], row["reason"], row["probability"]) for row in user["recommendations"]]
        assert [row[:3] for row in told] == [row[:3] for row in expected]
        assert [row[3] for row in told] == pytest.approx([row[3] for row in expected], rel=1e-4)
        ((last,),) = asked(published, f"SELECT max(event_date) FROM user_events WHERE user_id = '{user['user_id']}'")
        assert user["history"][0]["event_date"] == last.isoformat()


def test_segments_and_next_steps_are_the_published_ones(sections: dict[str, Any], published: Path) -> None:
    told = sections["segments"]
    expected = asked(published, "SELECT segment, users, description, typical_items FROM segments ORDER BY segment")
    assert [
        tuple(row[key] for key in ("segment", "users", "description", "typical_items")) for row in told["segments"]
    ] == (expected)
    steps = sections["next_steps"]
    ((users, buyers, nothing),) = asked(
        published, "SELECT count(*), sum(p_buys), sum(p_nothing) FROM next_steps WHERE as_of = '2025-06-30'"
    )
    assert (steps["users"], steps["expected_buyers"]) == (users, pytest.approx(buyers, rel=1e-4))
    (first,) = [row for row in steps["steps"] if row["step"] == "nothing"]
    assert first["expected_users"] == pytest.approx(nothing, rel=1e-4)
    assert sum(row["likeliest_for"] for row in steps["steps"]) == users
    curve = asked(
        published, "SELECT predicted, observed, users FROM next_step_reliability WHERE outcome = 'buys' ORDER BY bin"
    )
    assert [(point["predicted"], point["observed"], point["users"]) for point in steps["curves"]["buys"]] == curve
    assert {row["dataset"]: row["log_loss"]["value"] for row in steps["figures"]} == {
        "next step within 7 days": 0.2,
        "user buys within 7 days": 0.2,
    }
    assert steps["notes"] == [
        "A floor stands in for buying: the model did not beat the share of buyers after the last kind of event on "
        "held-out days."
    ]
    user = sections["people"]["users"][0]
    ((segment, p_buys),) = asked(
        published,
        "SELECT segment, p_buys FROM user_segments JOIN next_steps USING (as_of, user_id) "
        f"WHERE user_id = '{user['user_id']}'",
    )
    assert (user["state_segment"], user["p_buys"]) == (segment, pytest.approx(p_buys, rel=1e-4))


def test_a_step_that_nobody_is_expected_to_take_is_left_out_with_a_sentence(published: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(published.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE next_steps SET p_cart = 0.0001, p_favourite = 0.0002").fetchall()
    page = write_report(copy, tmp_path / "report.html", currency="EUR").file
    told = data_of(page)["sections"]["next_steps"]
    assert {row["step"] for row in told["steps"]} == {"nothing", "view", "purchase"}
    assert told["notes"][-1] == (
        "Expected of less than one user in all, and left out of the table: marks a favourite, fills the cart."
    )


def test_quality_counts_the_rows_and_the_rules(sections: dict[str, Any]) -> None:
    quality = sections["quality"]
    assert quality["feeds"][0] | {"files": 1} == {
        "feed": "orders", "files": 1, "files_refused": 0, "rows_in": 100, "rows_core": 96, "rows_quarantined": 3,
        "rows_duplicate": 1, "files_tonight": 1, "rows_tonight": 100,
    }  # fmt: skip
    assert (quality["tonight"]["rules"], quality["tonight"]["failed"]) == (1, 1)
    assert quality["failed"][0]["sentence"] == "Mend x."


def test_a_hostile_name_stays_text(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    assert html.count("<script") == html.count("</script>") == 3
    assert "<img" not in html.split("<script>")[0]
    names = {one["name"] for one in data_of(page)["sections"]["forecast"]["series"]}
    assert HOSTILE in names


@pytest.mark.parametrize("text", ["</script>", "<!--", "]]>", "\u2028\u2029", "&lt;", "\\u003c", '"', "'"])
def test_embedded_text_comes_back_as_it_was(text: str) -> None:
    written = embedded({"name": text})
    assert json.loads(written) == {"name": text}
    assert not set(written) & set("<>&\u2028\u2029")


def test_only_the_pages_own_scripts_may_run_and_nothing_may_load(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy[1].replace("&#39;", "'").split(";")}
    assert rules["default-src"] == ["'none'"]
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert rules["script-src"] == [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    ]
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html.split("<script>")[0])


def test_the_headlines_are_told_as_text_too(published: Path, tmp_path: Path) -> None:
    told = {row[0]: row[1:] for row in write_report(published, tmp_path / "r.html", currency="EUR").headline}
    assert told["Visits"] == ("140", "level 0.0 %", "\N{EN DASH}")
    assert told["Revenue"][0].startswith("€")


def test_the_same_file_gives_the_same_page(published: Path, page: Path, tmp_path: Path) -> None:
    again = write_report(published, tmp_path / "again.html", currency="EUR").file
    assert again.read_bytes() == page.read_bytes()


def test_a_shop_without_a_night_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"nothing was published yet. Run a night first"):
        write_report(tmp_path / "none.duckdb", tmp_path / "report.html")
    empty = make_shop(tmp_path / "empty.duckdb", with_rows=False)
    with pytest.raises(ReportError, match="holds no night yet"):
        write_report(empty, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_what_feeds_do_not_allow_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    bare = make_shop(tmp_path / "bare.duckdb", with_rows=False)
    with duckdb.connect(str(bare)) as connection:
        connection.execute(
            "INSERT INTO about VALUES "
            "(DATE '2025-06-30', DATE '2025-06-30', 1, TIMESTAMP '2025-07-01', '0.1.0', NULL, true)"
        ).fetchall()
    written = write_report(bare, tmp_path / "report.html")
    assert set(written.left_out) == {
        "headline", "forecast", "misses", "value", "people", "segments", "next_steps", "similar", "funnel", "paths",
        "models",
    }  # fmt: skip
    html = written.file.read_text(encoding="utf-8")
    for sentence in written.left_out.values():
        assert sentence.endswith(".")
        assert sentence.replace("'", "&#39;") in html


def test_a_night_leaves_its_report_and_keeps_one_a_night(published_shop: PublishedShop) -> None:
    home = published_shop.home
    newest = report_beside(home.published_file)
    kept = archived_report(home, published_shop.run.as_of)
    assert kept.read_bytes() == newest.read_bytes()
    assert newest.stat().st_size < 8 * MIB
    figures = {row["key"]: row["value"] for row in data_of(newest)["sections"]["headline"]["figures"]}
    last = published_shop.run.as_of.isoformat()
    ((units,),) = asked(
        home.published_file,
        f"SELECT sum(quantity) FROM sales_daily WHERE level = 'total' AND date > DATE '{last}' - 7",
    )
    assert figures["units"] == pytest.approx(units)


OLDER_NIGHT = """
INSERT INTO recommendations
SELECT DATE '2025-06-25', user_id, rank, item_id, score, source, reason, reason_item_id, is_repeat, fallback,
       model_version
FROM recommendations WHERE as_of = DATE '2025-06-30' AND user_id IN ('u1', 'u2');
INSERT INTO sales_forecasts
SELECT DATE '2025-06-25', level, series_id, measure, target_date - 5, horizon, 2, p05, p10, p25, p50, p75, p90, p95,
       baseline, model, model_version, fallback
FROM sales_forecasts WHERE as_of = DATE '2025-06-30';
"""


@pytest.fixture
def two_nights(published: Path, tmp_path: Path) -> Home:
    """A home whose published file holds an older night too."""
    home = Home(tmp_path / "home")
    home.published_file.parent.mkdir(parents=True)
    home.settings_file.write_text("profile: sample\n", encoding="utf-8")
    home.published_file.write_bytes(published.read_bytes())
    with duckdb.connect(str(home.published_file)) as connection:
        connection.execute(OLDER_NIGHT).fetchall()
    return home


def test_the_report_of_an_older_night_says_what_that_night_knew(two_nights: Home) -> None:
    newest = nightly_report(two_nights)
    older = nightly_report(two_nights, as_of=date(2025, 6, 25))
    assert (newest.file, older.file) == (
        report_beside(two_nights.published_file),
        archived_report(two_nights, date(2025, 6, 25)),
    )
    assert data_of(newest.file)["as_of"] == "2025-06-30"
    told = data_of(older.file)
    assert (told["as_of"], told["first_day"]) == ("2025-06-25", "2025-06-26")
    figures = {figure["key"]: figure["value"] for figure in told["sections"]["headline"]["figures"]}
    ((units,),) = asked(
        two_nights.published_file,
        "SELECT sum(quantity) FROM sales_daily WHERE level = 'total' AND date BETWEEN '2025-06-19' AND '2025-06-25'",
    )
    assert (figures["units"], figures["next_units"]) == (pytest.approx(units), 14)
    users = told["sections"]["people"]["users"]
    assert {user["user_id"] for user in users} == {"u1", "u2"}
    # what came after the night is not told of them, nor the segment that they were given later
    assert max(one["event_date"] for user in users for one in user["history"]) <= "2025-06-25"
    assert {user["segment"] for user in users} == {None}
    assert "those of the newest published night, 30 Jun 2025" in older.file.read_text(encoding="utf-8")
    assert "those of the newest published night" not in newest.file.read_text(encoding="utf-8")


def test_a_night_that_is_not_published_is_refused_with_those_that_are(two_nights: Home) -> None:
    with pytest.raises(
        ReportError, match=r"does not hold the night 2025-05-01. The newest of its \d+ nights: .*2025-06-30"
    ):
        nightly_report(two_nights, as_of=date(2025, 5, 1))
    done = CliRunner().invoke(app, ["report", "--home", str(two_nights.root), "--as-of", "2025-06-25", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["as_of"] == "2025-06-25"
    refused = CliRunner().invoke(app, ["report", "--home", str(two_nights.root), "--as-of", "2025-05-01"])
    assert refused.exit_code == 4
    assert "nightly --as-of 2025-05-01" in refused.stderr


def test_old_reports_make_way_as_old_nights_do(published: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings_file.write_text("profile: sample\nkeep_nights: 3\n", encoding="utf-8")
    home.published_file.parent.mkdir()
    home.published_file.write_bytes(published.read_bytes())
    (tmp_path / "reports").mkdir()
    for name in ("2025-06-26", "2025-06-27", "2025-06-28", "2025-06-29", "mine"):
        (tmp_path / "reports" / f"{name}.html").write_text("old", encoding="utf-8")
    nightly_report(home)
    kept = sorted(path.stem for path in (tmp_path / "reports").iterdir())
    assert kept == ["2025-06-28", "2025-06-29", "2025-06-30", "mine"]


def test_the_command_writes_where_it_is_told(published_shop: PublishedShop, tmp_path: Path) -> None:
    target = tmp_path / "monday.html"
    done = CliRunner().invoke(
        app, ["report", "--home", str(published_shop.home.root), "--output", str(target), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["bytes"] == target.stat().st_size
    bare = CliRunner().invoke(app, ["report", "--home", str(tmp_path)])
    assert bare.exit_code == 4
    assert "is not a shop home" in bare.stderr
