"""Tests of ecom_pipeline; the folders mirror the package."""
