"""The nightly report: one HTML page that says what a night says, for people who do not write SQL.

It reads the published file alone, so that every figure in it can be looked up there. `queries` runs the SQL of
`sql/report/`, `sections` and `series` and `paths` bring the answers into the page's order, `page` writes it.
"""

from ecom_pipeline.report.page import ReportFile, archived_report, nightly_report, report_beside, write_report
from ecom_pipeline.report.queries import ReportError, published_nights

__all__ = [
    "ReportError",
    "ReportFile",
    "archived_report",
    "nightly_report",
    "published_nights",
    "report_beside",
    "write_report",
]
