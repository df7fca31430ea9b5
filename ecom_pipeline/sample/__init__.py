"""A synthetic shop: files as a real one would export them, of any size, the same for the same seed.

Everything that it writes is invented. What is modelled, and how, is told in docs/sample-shop.md.
"""

from ecom_pipeline.sample.generator import generate_shop
from ecom_pipeline.sample.plan import SAMPLE_SHOP, FileFormat, SampleReport, ShopPlan

__all__ = ["SAMPLE_SHOP", "FileFormat", "SampleReport", "ShopPlan", "generate_shop"]
