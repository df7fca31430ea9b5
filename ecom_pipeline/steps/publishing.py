"""Publishing a shop as its settings want it: how many nights, under which name, with ids or keyed hashes."""

from ecom_pipeline.privacy.pseudonyms import hash_key
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.warehouse import Warehouse
from ecom_pipeline.warehouse.publishing import PublishReport, publish

SYNTHETIC_PROFILE = "sample"


def publish_shop(warehouse: Warehouse, *, home: Home, settings: Settings) -> PublishReport:
    """Put the published file of a home in place.

    Raises:
        PrivacyError: if published ids are to be hashed and the key is missing.
        WarehouseError: as `publish`.
    """
    return publish(
        warehouse,
        target=home.published_file,
        keep_nights=settings.keep_nights,
        profile=settings.profile,
        is_synthetic=settings.profile == SYNTHETIC_PROFILE,
        hash_key=hash_key(settings),
    )
