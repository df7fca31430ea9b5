"""A fitted model: everything that a forecast needs, and how windows become forecasts with it.

Belongs here: the way from windows to combined, calibrated forecasts. How the parts are fitted is fitting.py's business.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ecom_pipeline.forecasting import link as links
from ecom_pipeline.forecasting.calibration import Calibration
from ecom_pipeline.forecasting.combining import Combinations, Weights
from ecom_pipeline.forecasting.preparation import Preparation
from ecom_pipeline.forecasting.types import MASSES, MEDIAN
from ecom_pipeline.forecasting.windows import Batch, Geometry, Tables, gather

if TYPE_CHECKING:
    from ecom_pipeline.forecasting.network import Network, NetworkConfig

FORWARD_BATCH = 1024


@dataclass
class Forecasts:
    """Forecasts of W windows in units of the window's size (mean sales): mean (W, H), quantiles (W, H, 7).

    bases (W, H, len(BASES)); size (W,) in sales; expected, rise, rarity, grain and ceiling as in a batch.
    """

    mean: np.ndarray
    quantiles: np.ndarray
    bases: np.ndarray
    size: np.ndarray
    expected: np.ndarray
    rise: np.ndarray
    rarity: np.ndarray
    grain: np.ndarray
    ceiling: np.ndarray


@dataclass
class FittedModel:
    """Everything `predict` needs; arrays and plain values only.

    group_by: the static column whose categories have combinations of their own.
    """

    geometry: Geometry
    preparation: Preparation
    config: "NetworkConfig"
    members: list[dict[str, np.ndarray]]
    combinations: Combinations
    calibration: Calibration
    allow_negative: bool
    group_by: str | None = None
    report: dict[str, Any] = field(default_factory=dict)

    def forecast(self, tables: Tables, series: np.ndarray, origin: np.ndarray, *, calibrated: bool = True) -> Forecasts:
        """Forecast windows (series, origin), combined and, unless told otherwise, calibrated."""
        raw = self.network_forecasts(tables, series, origin)
        combined = combine(raw, self.weights(self.group_codes(tables)[series]))
        ceiling = raw.ceiling[:, None]
        if calibrated:
            combined = replace(
                combined, quantiles=self.calibration.apply(combined.quantiles, horizon=self.geometry.horizon)
            )
        combined = replace(
            combined,
            mean=np.minimum(combined.mean, ceiling),
            quantiles=np.minimum(combined.quantiles, ceiling[:, :, None]),
        )
        if not self.allow_negative:
            quantiles = without_crumbs(np.maximum(combined.quantiles, 0), raw.grain)
            combined = replace(combined, mean=np.maximum(combined.mean, 0), quantiles=quantiles)
        return combined

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups; the codes of `group_codes` begin with 1."""
        if self.group_by is None:
            return ()
        return next(column.levels for column in self.preparation.encoders.static if column.name == self.group_by)

    def group_codes(self, tables: Tables) -> np.ndarray:
        """(N,) group of each series of the tables; 0: unknown, or there are no groups."""
        if self.group_by is None:
            return np.zeros(len(tables.start), dtype=np.int32)
        names = [column.name for column in self.preparation.encoders.static]
        return tables.codes[:, names.index(self.group_by)]

    def weights(self, codes: np.ndarray) -> Weights:
        """Combinations of windows by the codes (W,) of their groups."""
        return self.combinations.weights(self.groups, codes)

    def network_forecasts(self, tables: Tables, series: np.ndarray, origin: np.ndarray) -> Forecasts:
        """The members' average, without combination or calibration."""
        parts = []
        networks = self.networks()
        for low in range(0, len(series), FORWARD_BATCH):
            batch = gather(tables, self.geometry, series[low : low + FORWARD_BATCH], origin[low : low + FORWARD_BATCH])
            parts.append(self._forward(networks, tables, batch, series[low : low + FORWARD_BATCH]))
        return Forecasts(
            mean=np.concatenate([p.mean for p in parts]),
            quantiles=np.concatenate([p.quantiles for p in parts]),
            bases=np.concatenate([p.bases for p in parts]),
            size=np.concatenate([p.size for p in parts]),
            expected=np.concatenate([p.expected for p in parts]),
            rise=np.concatenate([p.rise for p in parts]),
            rarity=np.concatenate([p.rarity for p in parts]),
            grain=np.concatenate([p.grain for p in parts]),
            ceiling=np.concatenate([p.ceiling for p in parts]),
        )

    def networks(self) -> "list[Network]":
        """The members as networks, built anew from their weights."""
        from ecom_pipeline.forecasting.network import Network

        built = []
        for weights in self.members:
            network = Network(self.config, seed=0)
            for name, value in weights.items():
                network.weights[name].assign(value)
            built.append(network)
        return built

    def _forward(self, networks: "list[Network]", tables: Tables, batch: Batch, series: np.ndarray) -> Forecasts:
        from ecom_pipeline.forecasting.network import forward

        horizon, link = self.geometry.horizon, self.geometry.link
        outputs = [forward(network, batch.inputs()) for network in networks]
        u = batch.centre[:, None, None] + batch.bases / batch.stretch[:, None, None]
        bases = links.inverse(u, link) / batch.size[:, None, None]
        quantiles = np.mean([o[1] for o in outputs], axis=0)[:, :horizon].astype(np.float64)
        quantiles = np.minimum(quantiles, batch.ceiling[:, None, None])
        if not self.allow_negative:
            quantiles = without_crumbs(quantiles, batch.grain)
        return Forecasts(
            mean=np.mean([o[0] for o in outputs], axis=0)[:, :horizon].astype(np.float64),
            quantiles=quantiles,
            bases=bases[:, :horizon].astype(np.float64),
            size=batch.size * tables.scale[series],
            expected=batch.expected[:, :horizon].astype(np.float64),
            rise=batch.rise,
            rarity=batch.rarity,
            grain=batch.grain,
            ceiling=batch.ceiling,
        )


def without_crumbs(quantiles: np.ndarray, grain: np.ndarray) -> np.ndarray:
    """Quantiles (W, H, 7) below half of the smallest sale of a series (W,) are zero: there is nothing in between."""
    return np.where(quantiles < 0.5 * grain[:, None, None], 0.0, quantiles)


def mean_members(raw: Forecasts) -> np.ndarray:
    """(W, H, 2 + K) what the mean is combined of: the network's, that of its quantiles, and the bases.

    Where sales are rare all quantiles and bases are zero: the window's mean sales by the day's factor stand for them,
    in proportion to its days without sales. Bases are about medians: they are first raised by what the window's sales
    lay above its fitted medians.
    """
    rarity = raw.rarity[:, None, None]
    inner = (raw.quantiles @ np.asarray(MASSES))[:, :, None]
    medians = np.concatenate([inner, raw.bases * (1 + raw.rise[:, None, None])], axis=2)
    means = np.maximum((1 - rarity) * medians + rarity * raw.expected[:, :, None], 0.0)
    return np.concatenate([raw.mean[:, :, None], means], axis=2)


def combine(raw: Forecasts, weights: Weights) -> Forecasts:
    """The mean and the median become combinations with the bases; the other quantiles move with the median."""
    mean = weights.factor[:, None] * np.matmul(mean_members(raw), weights.mean[:, :, None])[:, :, 0]
    bases = np.matmul(raw.bases, weights.median[:, 1:, None])[:, :, 0]
    shift = (weights.median[:, :1] - 1) * raw.quantiles[:, :, MEDIAN] + bases
    return replace(raw, mean=mean, quantiles=raw.quantiles + shift[:, :, None])
