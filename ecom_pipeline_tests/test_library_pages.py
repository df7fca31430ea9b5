"""The programs with which the pages of the two libraries begin run as they stand."""

import re
from pathlib import Path

import pytest

from ecom_pipeline_tests.report.conftest import make_shop

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("forecasting.md", ("network {'wape'", "seasonal profile {'wape'")),
        ("next-item.md", ("blend {'n'", "popularity {'n'")),
    ],
)
def test_the_first_program_of_a_librarys_page_runs_on_a_published_file(
    page: str,
    printed: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "data" / "published").mkdir(parents=True)
    make_shop(tmp_path / "data" / "published" / "analytics.duckdb")
    monkeypatch.chdir(tmp_path)
    found = re.search(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, object] = {}
    exec(compile(found[1], page, "exec"), names)  # noqa: S102 - ours
    said = capsys.readouterr().out
    assert all(words in said for words in printed)
