"""Published tables as files for other programs: CSV, Parquet and Excel.

`tables` says what is exported and checks it, `files` writes CSV and Parquet, `workbook` writes Excel.
"""

from ecom_pipeline.exporting.files import ExportedFile, export_tables
from ecom_pipeline.exporting.tables import ExportError, Format

__all__ = ["ExportError", "ExportedFile", "Format", "export_tables"]
