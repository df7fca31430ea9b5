"""The report in a real browser: drawn fast, by mouse and keyboard, in both themes, without an error or a request."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from ecom_pipeline.report import write_report
from ecom_pipeline_tests.report.browser import Page, browser_page, chromium

WIDTHS = ((1440, False), (820, False), (390, True))


@pytest.fixture(scope="module")
def report(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(published, tmp_path_factory.mktemp("browser") / "report.html", currency="EUR").file


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with browser_page(chromium()) as page:
        yield page


@pytest.fixture
def page(browser: Page, report: Path) -> Page:
    browser.size(1440, 900)
    browser.prefer("light")
    browser.open(report)
    return browser


def chosen(page: Page, group: str) -> object:
    return page.run(f"document.querySelector('#{group} [aria-checked=true]').dataset.value")


def test_it_draws_in_under_two_seconds_and_asks_nobody_for_anything(page: Page, report: Path) -> None:
    times = []
    for _ in range(3):  # the best of three: others may be busy on this machine
        page.open(report)
        times.append(int(str(page.run("document.documentElement.dataset.drawn"))))
    assert min(times) < 2000
    assert page.errors == []
    assert page.requests == [report.resolve().as_uri()]
    charts = "[...document.querySelectorAll('.chart')].map((chart) => chart.querySelectorAll('svg path').length)"
    drawn = page.run(charts)
    assert len(drawn) >= 5
    assert min(drawn) > 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "mobile"), WIDTHS)
def test_nothing_is_wider_than_the_window(page: Page, report: Path, width: int, mobile: bool, scheme: str) -> None:
    page.size(width, 900, mobile=mobile)
    page.prefer(scheme)
    page.open(report)
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.run("document.querySelector('#forecast-chart svg').getBoundingClientRect().right") <= width
    assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, report: Path, scheme: str) -> None:
    """WCAG AA: a contrast of 4.5 for text, of every element that holds text of its own outside charts."""
    page.prefer(scheme)
    page.open(report)
    poor = page.run(
        """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *:not(script):not(svg *)')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest('.skip, script')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.push(`${element.className || element.tagName}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(poor)];
})()"""
    )
    assert poor == []


def test_every_control_and_chart_has_a_name(page: Page) -> None:
    nameless = page.run(
        """[...document.querySelectorAll('button, input, select, [role], section, table')].filter((e) => {
  const label = e.getAttribute('aria-label') || (e.labels && e.labels.length) || e.textContent.trim();
  const by = e.getAttribute('aria-labelledby');
  return !label && !(by && document.getElementById(by).textContent.trim());
}).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    assert page.run("document.documentElement.lang") == "en"
    levels = page.run("[...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_a_product_is_found_by_typing_its_name(page: Page) -> None:
    page.click("#level [data-value=product]")
    assert page.run("document.getElementById('series-picker').hidden") is False
    page.run("document.getElementById('series-input').focus()")
    page.type("Item 7")
    assert page.run("[...document.querySelectorAll('#series-list li')].map((li) => li.innerText.split('\\n')[0])") == [
        "Item 7"
    ]
    page.press("Enter")
    assert page.text("#forecast-name").startswith("Item 7")
    assert "Item 7" in page.run("document.getElementById('forecast-chart').getAttribute('aria-label')")


def test_the_keyboard_alone_walks_through_levels_and_lists(page: Page) -> None:
    page.run("document.querySelector('#level [aria-checked=true]').focus()")
    page.press("ArrowRight")
    assert chosen(page, "level") == "category"
    page.press("Tab")
    page.press("ArrowDown")
    assert page.run("document.getElementById('series-input').getAttribute('aria-expanded')") == "true"
    page.press("ArrowDown")
    active = page.run("document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).innerText")
    page.press("Enter")
    assert page.text("#forecast-name") == active.split("\n")[0]
    page.press("ArrowDown")
    page.press("Escape")
    assert page.run("document.getElementById('series-input').getAttribute('aria-expanded')") == "false"


def test_a_click_on_a_miss_leads_to_its_forecast(page: Page) -> None:
    product = page.run("document.querySelector('[data-product]').dataset.product")
    page.click("[data-product]")
    assert chosen(page, "level") == "product"
    assert page.run("document.activeElement.id") == "series-input"
    assert page.text("#forecast-name small") in (f"group {int(product[1:]) % 3} · first seen 1 Jan 2025",)


def test_the_table_below_a_chart_says_its_figures(page: Page) -> None:
    page.click("[data-table=forecast] summary")
    page.wait_for("document.querySelector('[data-table=forecast] tbody tr') !== null")
    first = page.run(
        "[...document.querySelectorAll('[data-table=forecast] tbody tr:first-child td')].map((cell) => cell.innerText)"
    )
    assert first[0].replace(",", "") == "Mon 28 Jul"
    assert first[1:] == ["", "", "4", "2", "6", "4"]


def test_measure_range_user_funnel_and_paths_answer_to_a_click(page: Page) -> None:
    page.click("#measure [data-value=revenue]")
    assert "€" in page.text("#forecast-tiles")
    before = page.run("document.getElementById('forecast-chart').innerHTML")
    page.click("#range [data-value=year]")
    assert page.run("document.getElementById('forecast-chart').innerHTML") != before
    assert chosen(page, "range") == "year"
    page.run("document.getElementById('user').selectedIndex = 1")
    page.run("document.getElementById('user').dispatchEvent(new Event('change'))")
    name = page.run("document.getElementById('user').selectedOptions[0].textContent")
    assert name.split(" · ")[1] in page.text("#user-card")
    page.click("#funnel-split [data-value='user type']")
    assert page.run("document.querySelectorAll('#funnel-card h3').length") == 2
    page.click("#paths-kind [data-value=category]")
    assert "30" in page.run("document.getElementById('paths-chart').getAttribute('aria-label')")
    assert page.errors == []


def test_what_is_hidden_takes_no_room(page: Page) -> None:
    assert page.run("getComputedStyle(document.getElementById('measure')).display") == "flex"
    assert page.run("getComputedStyle(document.getElementById('series-picker')).display") == "none"


def test_hostile_names_are_shown_and_do_nothing(page: Page) -> None:
    page.click("#level [data-value=product]")
    page.run("document.getElementById('series-input').focus()")
    page.type("onerror")
    page.press("Enter")
    assert "</script>" in page.text("#forecast-name")
    page.click("[data-table=forecast] summary")
    page.wait_for("document.querySelector('[data-table=forecast] tbody tr') !== null")
    assert page.run("document.title").startswith("corner shop")
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.errors == []


def test_the_theme_can_be_chosen_against_the_system(page: Page) -> None:
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") != ground
    assert page.text("#theme") == "Light"
    page.click("#theme")
    assert page.run("getComputedStyle(document.body).backgroundColor") == ground


def test_every_chart_takes_the_colours_of_the_theme(page: Page) -> None:
    palette = (
        "['forecast', 'past', 'violet', 'text', 'soft', 'line']"
        ".map((name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())"
    )
    drawn = (
        "[...document.querySelectorAll('.chart')].filter((chart) => chart.querySelector('svg'))"
        ".map((chart) => [chart.id, chart.innerHTML])"
    )
    of_light, light = set(page.run(palette)), dict(page.run(drawn))
    page.click("#theme")
    of_dark, dark = set(page.run(palette)), dict(page.run(drawn))
    page.click("#theme")
    assert len(of_light) == 6
    assert of_light.isdisjoint(of_dark)
    assert "reliability-chart" in light
    for chart, picture in light.items():
        assert any(colour in picture for colour in of_light), chart
        assert not any(colour in dark[chart] for colour in of_light), chart


def test_no_probability_is_written_as_certain_that_is_not(page: Page, published: Path, tmp_path: Path) -> None:
    copy = tmp_path / "analytics.duckdb"
    copy.write_bytes(published.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("UPDATE next_steps SET p_buys = 0.9996").fetchall()
        connection.execute("UPDATE purchase_predictions SET probability = 0.0001").fetchall()
    page.open(write_report(copy, tmp_path / "report.html", currency="EUR").file)
    told = page.text("#user-card")
    assert "over 99 %" in told
    assert "under 0.1 %" in told


def test_it_prints_light_whatever_the_screen_shows(page: Page) -> None:
    page.prefer("dark")
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    drawings = page.run(
        "[...document.querySelectorAll('.chart svg')].map((svg) => [svg.getAttribute('width'), svg.style.maxWidth])"
    )
    page.run("window.dispatchEvent(new Event('afterprint'))")
    assert drawings
    assert all(greatest == f"{width}px" for width, greatest in drawings)
    printed = page.pdf()
    assert printed.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 2 <= pages <= 14
    assert page.run("document.documentElement.dataset.theme ?? 'none'") == "none"
    page.prefer("light")
