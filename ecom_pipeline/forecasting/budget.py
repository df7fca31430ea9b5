"""How many training steps a time budget allows.

Belongs here: seconds turned into work at a nominal speed, so that a fit with a budget gives the same model on every
machine that keeps up. The clock cuts training short only where it takes GRACE times as long; `settings_` says so.
"""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecom_pipeline.forecasting.network import NetworkConfig

MULTIPLICATIONS_A_SECOND = 4e9
"""Of the forward pass in training, the backward pass done in the same time; one core of a shop's server, not idle."""
SECONDS_A_STEP = 0.004
"""What a step costs whatever the size of the network."""
GRACE = 2.0
TRAIN_SHARE, FINAL_SHARE = 0.65, 0.25
"""Of the budget of a fit: for training before validation, and after it."""
UPDATE_SHARE = 0.8
FEWEST_STEPS = 20


@dataclass(frozen=True)
class Budget:
    """Seconds that a fit may take, None for as many as its plan needs; `began` is `time.monotonic`."""

    seconds: float | None
    began: float = field(default_factory=time.monotonic)

    def steps(self, planned: int, *, share: float, members: int, config: "NetworkConfig", batch_size: int) -> int:
        """Steps that each of so many networks may take in a share of the budget: at most the plan's."""
        if self.seconds is None:
            return planned
        step = SECONDS_A_STEP + multiplications(config) * batch_size / MULTIPLICATIONS_A_SECOND
        return min(planned, max(FEWEST_STEPS, int(self.seconds * share / (members * step))))

    def deadline(self, share: float) -> float | None:
        """When (`time.monotonic`) the clock ends what should be done after a share of the budget."""
        return None if self.seconds is None else self.began + GRACE * share * self.seconds


def multiplications(config: "NetworkConfig") -> int:
    """Multiplications of the forward pass for one window."""
    units, hidden, half = config.units, config.hidden, config.units // 2
    gates = {"lstm": 4, "gru": 3, "simple_rnn": 1, "dilated_cnn": 3}[config.cell]
    patch = config.encoder_width * units + 2 * units * gates * units
    across = config.cycle * hidden * units + 2 * (units + half) * gates * half + units * hidden
    day = config.day_width * hidden + hidden * hidden + hidden * (config.bases + 8)
    return (
        config.patches * patch
        + config.horizon_patches * across
        + config.horizon_patches * config.cycle * day
        + 2 * units * (units + hidden)
    )
