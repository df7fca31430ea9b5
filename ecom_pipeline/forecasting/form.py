"""What is chosen before anything is trained: the link, the columns of the calendar, how far back a window looks.

Belongs here: choices that simple forecasts on past dates can make. How those are scored is validation.py's business.
"""

import numpy as np

from ecom_pipeline.forecasting.calendar import Season
from ecom_pipeline.forecasting.panel import Panel
from ecom_pipeline.forecasting.settings import TrainingSettings
from ecom_pipeline.forecasting.types import Link
from ecom_pipeline.forecasting.validation import base_score, validation_origins

WINDOWS, SERIES = 13, 600
"""Origins, and most series, that take part in a choice."""
YEARS_FOR_SEASON = 1.6


def patches_for(settings: TrainingSettings, *, limit: int, season: Season) -> int:
    """Cycles (dates, where there is no cycle) of history in a window, for a history of `limit` dates."""
    if season.cycle > 1:
        return max(1, min(settings.patches, limit // (2 * season.cycle)))
    return max(1, min(settings.context_without_cycle, limit // 2))


def choose_form(
    panel: Panel,
    *,
    settings: TrainingSettings,
    season: Season,
    horizon: int,
    allow_negative: bool,
    by_precision: bool = False,
) -> tuple[Link, bool]:
    """The link, and whether the calendar has columns for the time of the year: the pair with which simple forecasts err
    least on the last year, at most a third of the history.

    Not on the validation dates: what does best on two months depends on the season of these. A history without
    YEARS_FOR_SEASON before that last year cannot show whether such columns help: they stay out. by_precision: as in
    Observations.
    """
    length = panel.observed
    limit = length - min(season.year, length // 3)
    links: tuple[Link, ...] = ("identity", "sqrt", "log")
    if settings.link is not None:
        links = (settings.link,)
    elif allow_negative and np.nanmin(panel.y, initial=0.0) < 0:
        links = ("identity",)
    elif limit < 2 or limit >= length:
        links = ("sqrt",)
    seasons = (False, True) if limit >= YEARS_FOR_SEASON * season.year else (False,)
    forms = [(link, yearly) for link in links for yearly in seasons]
    if len(forms) == 1:
        return forms[0]
    origins = validation_origins(limit=limit, length=length, horizon=horizon, windows=WINDOWS)
    patches = patches_for(settings, limit=limit, season=season)
    panel = panel.sample(SERIES)
    scores = {
        (link, yearly): base_score(
            panel,
            link=link,
            yearly=yearly,
            by_precision=by_precision,
            limit=limit,
            origins=origins,
            horizon=horizon,
            patches=patches,
        )
        for link, yearly in forms
    }
    return min(scores, key=scores.__getitem__)
