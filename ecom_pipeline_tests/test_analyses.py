"""The analysts' questions: their files, and their SQL against the tables that the contracts publish."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ecom_pipeline import contracts
from ecom_pipeline.analyses import ROWS_SHOWN, Analysis, AnalysisError, Answer, analyses, answer, read_analysis, render

ALL = analyses()
SHOP = Path(__file__).with_name("published_shop.sql")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "analyses.md"


def ids(analysis: Analysis) -> str:
    return analysis.name


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """What is published, without a row."""
    with duckdb.connect() as connection:
        for name, declared in contracts.PUBLISHED_TABLES.items():
            connection.execute(contracts.create_statement(declared, name=name))
        yield connection


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small published file in which every question has an answer."""
    file = tmp_path_factory.mktemp("published") / "analytics.duckdb"
    with duckdb.connect(str(file)) as connection:
        for name, declared in contracts.PUBLISHED_TABLES.items():
            connection.execute(contracts.create_statement(declared, name=name))
        connection.execute(SHOP.read_text(encoding="utf-8")).fetchall()
    return file


@pytest.fixture(scope="module")
def answers(shop: Path) -> dict[str, Answer]:
    with duckdb.connect(str(shop), read_only=True) as connection:
        return {analysis.name: answer(connection, analysis) for analysis in ALL}


def named_rows(found: Answer) -> list[dict[str, object]]:
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def test_there_are_at_least_twenty_questions_numbered_without_a_gap() -> None:
    assert len(ALL) >= 20
    assert [analysis.number for analysis in ALL] == list(range(1, len(ALL) + 1))


@pytest.mark.parametrize("analysis", ALL, ids=ids)
def test_a_question_is_one_and_its_reading_says_more(analysis: Analysis) -> None:
    assert analysis.question.endswith("?")
    assert len(analysis.reading) > 60
    assert ";" not in analysis.sql


@pytest.mark.parametrize("analysis", ALL, ids=ids)
def test_an_empty_shop_is_no_error(analysis: Analysis, empty: duckdb.DuckDBPyConnection) -> None:
    found = answer(empty, analysis)
    assert len(found.columns) >= 4
    assert len(set(found.columns)) == len(found.columns)


@pytest.mark.parametrize("analysis", ALL, ids=ids)
def test_an_answer_of_several_rows_is_in_a_fixed_order(
    analysis: Analysis, shop: Path, answers: dict[str, Answer]
) -> None:
    assert answers[analysis.name].rows
    assert len(answers[analysis.name].rows) <= 40
    with duckdb.connect(str(shop), read_only=True) as connection:
        connection.execute("SET threads = 1").fetchall()
        assert answer(connection, analysis) == answers[analysis.name]


def test_a_week_of_four_units_a_day_is_twenty_eight(answers: dict[str, Answer]) -> None:
    first = named_rows(answers["what_sells_next_week"])[0]
    assert first["item_id"] == "i0"
    # Above and below the mean each day has 2 units; two days k apart go together by .5^k: the 49 pairs sum to 17.03.
    assert (first["expected_units"], first["low_units"], first["high_units"]) == (
        28.0,
        round(28 - 2 * 17.03**0.5, 1),
        round(28 + 2 * 17.03**0.5, 1),
    )
    assert first["units_last_7_days"] == 28.0


def test_a_day_on_which_more_came_back_than_was_sold_is_told_as_such(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    (analysis,) = [one for one in ALL if one.name == "what_did_we_get_wrong"]
    with duckdb.connect(str(copy)) as connection:
        connection.execute(
            "UPDATE sales_forecast_accuracy SET actual = -9, abs_error = 13 WHERE series_id = 'i3'"
        ).fetchall()
        reasons = {row["item_id"]: row["reason"] for row in named_rows(answer(connection, analysis))}
    assert reasons["i3"] == "more came back than was sold"
    assert reasons["i4"] != reasons["i3"]


def test_every_day_ahead_has_the_last_such_weekday_beside_it(answers: dict[str, Answer]) -> None:
    rows = named_rows(answers["how_will_the_next_days_go"])
    assert [row["last_such_weekday"] for row in rows] == [row["last_such_weekday"] for row in rows[:7]] * 2
    assert None not in {row["last_such_weekday"] for row in rows}


def test_only_the_product_that_stopped_selling_is_dying(answers: dict[str, Answer]) -> None:
    (row,) = named_rows(answers["which_products_are_dying"])
    assert (row["item_id"], row["units_last_28_days"], row["days_since_sale"]) == ("i9", 0.0, 41)
    assert row["usual_units"] == 128.0  # three times 28 days: 12 of promotion with 8 units, 72 others with 4


def test_a_fall_that_chance_explains_is_no_dying(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    (analysis,) = [one for one in ALL if one.name == "which_products_are_dying"]
    with duckdb.connect(str(copy)) as connection:
        day = "date_diff('day', DATE '2025-06-30', date)"
        connection.execute(  # 7 in 28 days, as usual
            f"UPDATE sales_daily SET quantity = CASE WHEN {day} % 4 = 0 THEN 1 ELSE 0 END WHERE series_id = 'i8'"
        ).fetchall()
        connection.execute(f"UPDATE sales_daily SET quantity = 0 WHERE series_id = 'i8' AND {day} > -20").fetchall()
        connection.execute("UPDATE sales_forecasts SET mean = 0.1 WHERE series_id = 'i8'").fetchall()
        found = {row["item_id"] for row in named_rows(answer(connection, analysis))}
        connection.execute(f"UPDATE sales_daily SET quantity = 0 WHERE series_id = 'i8' AND {day} > -28").fetchall()
        found_without_any = {row["item_id"] for row in named_rows(answer(connection, analysis))}
    assert found == {"i9"}  # two of seven left
    assert found_without_any == {"i8", "i9"}


def test_products_that_miss_most_sales_by_their_views_come_first(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    (analysis,) = [one for one in ALL if one.name == "what_is_looked_at_and_not_bought"]
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE sales_daily SET quantity = 1 WHERE series_id = 'i3'").fetchall()  # many views
        connection.execute("UPDATE sales_daily SET quantity = 0, views = 2 WHERE series_id = 'i6'").fetchall()
        rows = named_rows(answer(connection, analysis))
    in_group_0 = [row["item_id"] for row in rows if row["category"] == "group 0"]
    assert in_group_0.index("i3") < in_group_0.index("i6")
    for row in rows:
        expected = row["views"] * row["of_its_category"] / 100  # type: ignore[operator]
        assert row["missing_units"] == pytest.approx(expected - row["units"], abs=0.2)


def test_a_promotion_that_doubles_the_units_has_an_uplift_of_two(answers: dict[str, Answer]) -> None:
    rows = named_rows(answers["which_promotions_paid"])
    assert {row["uplift"] for row in rows if row["item_id"] != "i9"} == {2.0}
    (depth,) = named_rows(answers["how_deep_should_a_discount_be"])
    assert (depth["discount"], depth["products"]) == ("10 to 20 %", 10)


def test_the_accuracy_is_the_error_by_the_sales(answers: dict[str, Answer]) -> None:
    row = named_rows(answers["how_good_are_the_forecasts"])[0]
    assert (row["level"], row["ahead"], row["wape"], row["baseline_wape"]) == ("total", "days 1 to 7", 0.556, 0.667)
    assert row["value_added"] == 0.167
    assert row["bias"] == round((4 - 9) / 9, 3)
    assert {row["too_high"] for row in named_rows(answers["can_the_intervals_be_trusted"])} == {1.0}


def test_the_product_with_too_little_stock_runs_out(answers: dict[str, Answer]) -> None:
    (row,) = named_rows(answers["what_will_run_out"])
    assert (row["item_id"], row["days_left"], row["reorder_units"]) == ("i1", 0.3, 68.0)


def test_the_funnel_is_by_sessions_with_a_view(answers: dict[str, Answer]) -> None:
    rows = named_rows(answers["where_does_the_funnel_leak"])
    assert [(row["user_type"], row["sessions"], row["cart_share"], row["change"]) for row in rows] == [
        ("new", 280, 0.3333, 0.0),
        ("returning", 280, 0.3333, 0.0),
    ]


def test_a_change_of_few_sessions_is_not_told(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    (analysis,) = [one for one in ALL if one.name == "where_does_the_funnel_leak"]
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE funnel_daily SET sessions_with_view = 3 WHERE user_type = 'new'").fetchall()
        rows = named_rows(answer(connection, analysis))
    assert [(row["user_type"], row["change"], row["noise"]) for row in rows] == [
        ("new", None, None),
        ("returning", 0.0, 3.7),
    ]


def test_a_great_order_sent_back_is_one_return(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    (analysis,) = [one for one in ALL if one.name == "what_comes_back"]
    with duckdb.connect(str(copy)) as connection:
        before = {row["item_id"]: row["return_share"] for row in named_rows(answer(connection, analysis))}
        connection.execute(
            "UPDATE user_events SET quantity = 4000 WHERE event = 'return' AND item_id = 'i3' AND user_id = 'u8'"
        ).fetchall()
        after = {row["item_id"]: row["return_share"] for row in named_rows(answer(connection, analysis))}
    assert after == before


def test_cohorts_are_compared_by_the_value_of_as_many_months(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    (analysis,) = [one for one in ALL if one.name == "do_customers_come_back"]
    with duckdb.connect(str(copy)) as connection:
        assert [row["value_first_3_months"] for row in named_rows(answer(connection, analysis))] == [None]
        connection.execute(
            "INSERT INTO cohort_retention SELECT basis, grain, cohort, n, period_start, 30, 9, 0.3, 1000 * n, true "
            "FROM cohort_retention, range(2, 5) AS later(n) WHERE period = 0"
        ).fetchall()
        (row,) = named_rows(answer(connection, analysis))
    assert row["value_first_3_months"] == round((100 + 50 + 2000) / 30, 2)


def test_what_was_bought_after_the_cart_is_not_left_in_it(shop: Path) -> None:
    (analysis,) = [one for one in ALL if one.name == "who_left_a_cart"]
    with duckdb.connect(str(shop), read_only=True) as connection:
        carted = connection.execute(
            "SELECT user_id, item_id FROM user_events WHERE event = 'cart' AND event_date > DATE '2025-06-23'"
        ).fetchall()
        left = {row[:2] for row in answer(connection, analysis).rows}
    assert left
    assert left <= set(carted)


def test_changes_of_category_are_compared_with_changes_alone(answers: dict[str, Answer]) -> None:
    rows = named_rows(answers["which_categories_lead_to_each_other"])
    found = [(row["from_category"], row["to_category"], row["probability"], row["lift"]) for row in rows]
    # Of 100 changes 40 lead to group 2 and 60 to group 0.
    assert found == [
        ("group 0", "group 2", 1.0, 2.5),
        ("group 1", "group 0", 0.75, 1.25),
        ("group 1", "group 2", 0.25, 0.63),
    ]


def test_expected_buyers_are_the_sum_of_all_probabilities(answers: dict[str, Answer]) -> None:
    rows = named_rows(answers["who_will_come_back_to_buy"])
    assert (len(rows), rows[0]["user_id"], rows[0]["p_buys"]) == (20, "u29", 0.34)
    assert {row["active_users"] for row in rows} == {30}
    assert rows[0]["buyers_expected"] == pytest.approx(5.85, abs=0.051)


def test_nights_are_judged_once_their_window_is_over(answers: dict[str, Answer]) -> None:
    """Of 61 users the even ones buy on the 22nd of June, those with odd numbers on the 23rd; the last is unknown."""
    (row,) = named_rows(answers["did_the_nights_call_the_buyers"])
    assert (row["as_of"].isoformat(), row["users"], row["buyers"]) == ("2025-06-20", 61, 60)  # type: ignore[attr-defined]
    assert row["buyers_expected"] == round(30 * 0.6 + 31 * 0.2, 1)
    assert (row["said_of_buyers"], row["said_of_others"], row["likelier"]) == (0.4, 0.2, 2.0)
    assert (row["bought_of_all"], row["bought_of_top_tenth"]) == (round(60 / 61, 3), 1.0)


# The files and the page


def test_a_header_is_read_over_several_lines() -> None:
    analysis = read_analysis(
        "07_what_now.sql", "-- Question: What now?\n-- Reading: One row.\n--   And more.\nSELECT 1\n"
    )
    assert analysis == Analysis(7, "what_now", "What now?", "One row. And more.", "SELECT 1")
    assert analysis.file_name == "07_what_now.sql"


@pytest.mark.parametrize(
    ("file_name", "text", "message"),
    [
        ("what.sql", "", r"sql/analyses/what\.sql: name the file NN_question\.sql"),
        ("01_what.sql", "-- Reading: x\nSELECT 1", r"01_what\.sql: the header has no line `-- Question: …`"),
        ("01_what.sql", "-- Question: x?\nSELECT 1", r"01_what\.sql: the header has no line `-- Reading: …`"),
        ("01_what.sql", "-- Question: x?\n-- Reading: y", r"01_what\.sql: there is no statement below the header"),
    ],
)
def test_a_file_that_is_not_so_is_refused_by_name(file_name: str, text: str, message: str) -> None:
    with pytest.raises(AnalysisError, match=message):
        read_analysis(file_name, text)


def test_the_page_holds_each_question_its_sql_and_its_answer(shop: Path) -> None:
    page = render(shop)
    for analysis in ALL:
        assert f"\n## {analysis.number}. {analysis.question}\n" in page
        assert analysis.sql in page
    assert "| item_id | name | expected_units |" in page
    assert "| i0 | Item 0 | 28 | 19.7 | 36.3 | 28 | 28 | lstm |" in page
    assert f"… and {9 - ROWS_SHOWN} more row." in page


def test_links_of_the_page_lead_to_its_headings(shop: Path) -> None:
    page = render(shop)
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.removeprefix("## ").lower()).replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("## ")
    }
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert len(links) == len(ALL)
    assert set(links) == headings


def test_a_bar_in_a_name_does_not_break_the_table(shop: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shop.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE items SET name = 'a | b' WHERE item_id = 'i0'").fetchall()
    assert r"| i0 | a \| b | 28 |" in render(copy)


def test_the_page_in_the_docs_has_these_questions_and_this_sql() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## \d+\. (.+)$", page, re.MULTILINE) == [analysis.question for analysis in ALL]
    assert re.findall(r"```sql\n(.+?)\n```", page, re.DOTALL) == [analysis.sql for analysis in ALL]


def test_documents_count_the_questions_right() -> None:
    tens = {2: "twenty", 3: "thirty", 4: "forty"}
    ones = ("", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine")
    count = tens[len(ALL) // 10] + ones[len(ALL) % 10]
    counted = re.compile(r"\b((?:twenty|thirty|forty)(?:-\w+)?) questions", re.IGNORECASE)
    documents = [PAGE.parents[1] / "README.md", *PAGE.parent.glob("*.md"), *PAGE.parent.glob("notebooks/*.ipynb")]
    said = {found.lower() for file in documents for found in counted.findall(file.read_text(encoding="utf-8"))}
    assert said == {count}
