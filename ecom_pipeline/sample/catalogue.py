"""Products: what there is, at which price, for how long, and which go together.

What belongs here: everything about products that does not depend on the people of the shop.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

import numpy as np

from ecom_pipeline.sample.plan import PLANNED_DAYS_AHEAD, ShopPlan, Stream

STYLES = 5
BRANDS = ("Alba", "Nordlicht", "Kestrel", "Fjord & Sons", "Maison Rue")
ADJECTIVES = ("Classic", "Compact", "Deluxe", "Light", "Natural", "Original", "Pro", "Soft", "Solid", "Travel")
SIMILAR = 6
COMPLEMENTS = 4
FOREVER = 10**6


@dataclass(frozen=True)
class Subcategory:
    """A narrow category. `cycle`: days until a consumable is bought again; `leads_to`: what is bought after it."""

    department: str
    name: str
    noun: str
    price: float
    extra_units: float = 0.1
    cycle: int = 0
    leads_to: tuple[str, ...] = ()
    peak_day: int = 0
    swing: float = 0.0
    return_rate: float = 0.05
    conversion: float = 0.10


SUBCATEGORIES = (
    Subcategory("Coffee and tea", "Machines", "espresso machine", 260, leads_to=("Beans", "Grinders", "Barista tools")),
    Subcategory("Coffee and tea", "Beans", "coffee beans 1 kg", 17, 0.7, 24, ("Barista tools",), 350, 0.15, 0.01, 0.22),
    Subcategory("Coffee and tea", "Grinders", "coffee grinder", 95, leads_to=("Beans",)),
    Subcategory("Coffee and tea", "Barista tools", "milk jug", 19, leads_to=("Beans",)),
    Subcategory("Coffee and tea", "Tea", "tea tin", 9, 0.6, 35, (), 350, 0.35, 0.01, 0.18),
    Subcategory("Kitchen", "Pans", "frying pan", 49, leads_to=("Utensils", "Knives")),
    Subcategory("Kitchen", "Knives", "chef's knife", 69, leads_to=("Utensils",)),
    Subcategory("Kitchen", "Utensils", "spatula", 12, 0.3),
    Subcategory("Kitchen", "Baking", "baking tin", 22, 0.2, leads_to=("Utensils",), peak_day=340, swing=0.5),
    Subcategory("Garden", "Grills", "grill", 180, leads_to=("Charcoal", "Grill tools"), peak_day=165, swing=0.8),
    Subcategory("Garden", "Charcoal", "charcoal, 3 kg", 11, 0.9, 21, ("Grill tools",), 175, 0.8, 0.01, 0.2),
    Subcategory("Garden", "Grill tools", "grill tongs", 18, leads_to=("Charcoal",), peak_day=170, swing=0.8),
    Subcategory("Garden", "Seeds", "seed mix", 5, 1.2, peak_day=100, swing=0.9, return_rate=0.01, conversion=0.18),
    Subcategory(
        "Sport",
        "Running shoes",
        "running shoes",
        120,
        leads_to=("Running wear", "Nutrition"),
        peak_day=130,
        swing=0.3,
        return_rate=0.16,
    ),
    Subcategory("Sport", "Running wear", "running shirt", 39, leads_to=("Nutrition",), swing=0.2, return_rate=0.14),
    Subcategory("Sport", "Nutrition", "energy bar, 12", 21, 0.5, 28, (), 140, 0.2, 0.01, 0.2),
    Subcategory("Home", "Candles", "candle", 15, 0.8, 40, (), 345, 0.6, 0.02, 0.16),
    Subcategory("Home", "Textiles", "throw", 45, leads_to=("Candles",), peak_day=345, swing=0.3, return_rate=0.09),
    Subcategory("Home", "Lamps", "table lamp", 79, leads_to=("Candles",), peak_day=330, swing=0.2),
    Subcategory("Toys", "Building sets", "building set", 42, leads_to=("Puzzles",), peak_day=348, swing=0.7),
    Subcategory("Toys", "Puzzles", "puzzle", 19, leads_to=("Games",), peak_day=348, swing=0.6),
    Subcategory("Toys", "Games", "board game", 33, leads_to=("Puzzles",), peak_day=350, swing=0.8),
)


@dataclass(frozen=True)
class Catalogue:
    """Arrays by product, (items,) unless said otherwise; days count from the plan's first day.

    `similar` (items, SIMILAR) and `complements` (items, COMPLEMENTS) hold products. `first_of` (subcategories + 1,)
    says where the products of a subcategory begin: products are in order of their subcategory.
    """

    ids: np.ndarray
    names: np.ndarray
    subcategory: np.ndarray
    style: np.ndarray
    base_cents: np.ndarray
    popularity: np.ndarray
    elasticity: np.ndarray
    launch: np.ndarray
    decline: np.ndarray
    end: np.ndarray
    similar: np.ndarray
    complements: np.ndarray
    first_of: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def life(self, day: int) -> np.ndarray:
        """How much a product is in demand for its age: 0 off sale, rising after launch, 1, falling before its end."""
        age = day - self.launch
        rise = np.clip((age + 4) / 28, 0.1, 1)
        fall = np.clip(0.25 + 0.75 * (self.end - day) / np.maximum(self.end - self.decline, 1), 0.1, 1)
        return np.where((age >= 0) & (day <= self.end), rise * np.where(day < self.decline, 1.0, fall), 0.0)


def category_path(subcategory: int) -> str:
    """Category path of a subcategory, from the widest."""
    return f"{SUBCATEGORIES[subcategory].department} > {SUBCATEGORIES[subcategory].name}"


def make_catalogue(plan: ShopPlan) -> Catalogue:
    """The products of the shop."""
    random = plan.random(Stream.CATALOGUE)
    n = plan.items
    subcategory = np.sort(np.arange(n) % len(SUBCATEGORIES)).astype(np.int32)
    first_of = np.searchsorted(subcategory, np.arange(len(SUBCATEGORIES) + 1)).astype(np.int64)
    rank = np.arange(n) - first_of[subcategory]
    style = ((rank + random.integers(0, STYLES, len(SUBCATEGORIES))[subcategory]) % STYLES).astype(np.int8)
    typical = np.array([entry.price for entry in SUBCATEGORIES])[subcategory]
    base_cents = _retail_cents(typical * 100 * np.exp(random.normal(0, 0.35, n)))
    launched = random.random(n) < 0.22
    launch = np.where(launched, random.integers(10, max(plan.days - 20, 11), n), -random.integers(30, 900, n))
    dies = (random.random(n) < 0.18) & ~launched
    end = np.where(dies, random.integers(plan.days // 4, max(plan.days, plan.days // 4 + 1), n), FOREVER)
    codes = random.permutation(n) + 1
    partners = partial(_partners, random, subcategory=subcategory, first_of=first_of, style=style)
    return Catalogue(
        ids=np.char.add("P", np.char.zfill(codes.astype(str), 1 + max(4, len(str(n))))),
        names=_names(subcategory, style, rank),
        subcategory=subcategory,
        style=style,
        base_cents=base_cents,
        popularity=np.exp(random.normal(0, 0.9, n)),
        elasticity=random.uniform(1.2, 3.2, n),
        launch=launch,
        decline=end - random.integers(40, 120, n),
        end=end,
        similar=partners(into=[(k,) for k in range(len(SUBCATEGORIES))], count=SIMILAR),
        complements=partners(into=_leads(), count=COMPLEMENTS),
        first_of=first_of,
    )


def _retail_cents(cents: np.ndarray) -> np.ndarray:
    """Prices as shops write them: 9.90, 12.90, 259.00."""
    euros = np.maximum(np.round(cents / 100), 1).astype(np.int64)
    return np.where(euros >= 100, euros * 100, euros * 100 - 10)


def _names(subcategory: np.ndarray, style: np.ndarray, rank: np.ndarray) -> np.ndarray:
    nouns = np.array([entry.noun for entry in SUBCATEGORIES])[subcategory]
    brands = np.array(BRANDS)[style]
    adjectives = np.array(ADJECTIVES)[rank % len(ADJECTIVES)]
    numbers = np.where(rank >= len(ADJECTIVES), np.char.add(" ", (rank // len(ADJECTIVES) + 1).astype(str)), "")
    words = np.char.add(np.char.add(brands, " "), np.char.add(np.char.add(adjectives, " "), nouns))
    return np.char.add(words, numbers)


def _leads() -> list[tuple[int, ...]]:
    """Subcategory -> the subcategories that follow it; where none is said, itself."""
    number = {entry.name: k for k, entry in enumerate(SUBCATEGORIES)}
    return [tuple(number[name] for name in entry.leads_to) or (k,) for k, entry in enumerate(SUBCATEGORIES)]


def _partners(
    random: np.random.Generator,
    *,
    subcategory: np.ndarray,
    first_of: np.ndarray,
    style: np.ndarray,
    into: list[tuple[int, ...]],
    count: int,
) -> np.ndarray:
    """For each product, `count` products of the subcategories that its own leads into, its style preferred.

    Returns int32 (items, count); a product without partners is its own.
    """
    options = np.zeros((len(into), 3), dtype=np.int64)
    for k, targets in enumerate(into):
        options[k] = [targets[j % len(targets)] for j in range(3)]
    n = len(subcategory)
    chosen = np.zeros((n, count), dtype=np.int32)
    for column in range(count):
        target = options[subcategory, random.integers(0, 3, n)]
        width = first_of[target + 1] - first_of[target]
        filled = width > 0
        best = np.arange(n)
        for _ in range(6):
            candidate = np.where(
                filled, first_of[target] + (random.random(n) * np.maximum(width, 1)).astype(np.int64), np.arange(n)
            )
            candidate = np.minimum(candidate, n - 1)
            settled = (style[best] == style) & (best != np.arange(n))
            best = np.where(settled, best, candidate)
        chosen[:, column] = best
    return chosen


@dataclass(frozen=True)
class Prices:
    """Changes of list prices in order of day: from `day` on, `item` costs `cents`."""

    day: np.ndarray
    item: np.ndarray
    cents: np.ndarray


def make_prices(plan: ShopPlan, catalogue: Catalogue) -> Prices:
    """About two price changes a product and year, up or down by 3 to 15 per cent of the first price."""
    random = plan.random(Stream.CATALOGUE, 1)
    count = random.poisson(2.0 * plan.days / 365, len(catalogue))
    item = np.repeat(np.arange(len(catalogue)), count)
    day = random.integers(1, max(plan.days, 2), len(item))
    change = random.uniform(0.03, 0.15, len(item)) * random.choice([-1, 1, 1], len(item))
    order = np.lexsort((item, day))
    cents = _retail_cents(catalogue.base_cents[item] * (1 + change))
    return Prices(day=day[order], item=item[order], cents=cents[order])


KINDS = ("discount", "coupon", "ad", "feature")


@dataclass(frozen=True)
class Promotions:
    """Promotions in order of announcement; `item` is -1 where a category is promoted.

    `subcategory` is -1 for single products; `whole_department` widens it to its department. `kind` codes into KINDS.
    """

    announced: np.ndarray
    start: np.ndarray
    end: np.ndarray
    item: np.ndarray
    subcategory: np.ndarray
    whole_department: np.ndarray
    kind: np.ndarray
    depth: np.ndarray


def make_promotions(plan: ShopPlan, catalogue: Catalogue) -> Promotions:
    """Promotions of products (about four a year each) and of categories, announced three to six weeks ahead."""
    random = plan.random(Stream.PROMOTIONS)
    horizon = plan.days + PLANNED_DAYS_AHEAD
    n_items = int(random.poisson(4.0 * len(catalogue) * horizon / 365))
    n_categories = int(random.poisson(14.0 * horizon / 365))
    friday = _black_fridays(plan, horizon)
    departments = np.unique(catalogue.subcategory) if len(friday) else np.array([], dtype=np.int64)
    first_in_department = [
        k for k in departments if k == 0 or SUBCATEGORIES[k].department != SUBCATEGORIES[k - 1].department
    ]
    item = np.concatenate([random.integers(0, len(catalogue), n_items), np.full(n_categories, -1)])
    promoted = random.choice(np.unique(catalogue.subcategory), n_categories)
    subcategory = np.concatenate([np.full(n_items, -1), promoted])
    whole = np.concatenate([np.zeros(n_items, bool), random.random(n_categories) < 0.3])
    start = random.integers(-6, horizon, n_items + n_categories)
    length = random.integers(3, 15, n_items + n_categories)
    kind = random.choice(len(KINDS), n_items + n_categories, p=[0.55, 0.2, 0.15, 0.1])
    depth = random.choice([0.1, 0.15, 0.2, 0.25, 0.3, 0.4], n_items + n_categories)

    black = [(day, k) for day in friday for k in first_in_department]
    item = np.concatenate([item, np.full(len(black), -1)])
    subcategory = np.concatenate([subcategory, np.array([k for _, k in black], dtype=np.int64)])
    whole = np.concatenate([whole, np.ones(len(black), bool)])
    start = np.concatenate([start, np.array([day - 3 for day, _ in black], dtype=np.int64)])
    length = np.concatenate([length, np.full(len(black), 7)])
    kind = np.concatenate([kind, np.zeros(len(black), dtype=np.int64)])
    depth = np.concatenate([depth, np.full(len(black), 0.25)])

    announced = np.maximum(start - random.integers(21, 43, len(start)), 0)
    # Products off sale are not promoted.
    on_sale = (item < 0) | ((catalogue.launch[item] <= start) & (catalogue.end[item] >= start + length))
    order = np.lexsort((np.arange(len(start)), start, announced))
    order = order[on_sale[order] & (announced[order] < plan.days)]
    return Promotions(
        announced=announced[order],
        start=start[order],
        end=(start + length - 1)[order],
        item=item[order],
        subcategory=subcategory[order],
        whole_department=whole[order],
        kind=kind[order],
        depth=np.where(kind[order] >= 2, np.nan, depth[order]),
    )


def _black_fridays(plan: ShopPlan, horizon: int) -> list[int]:
    """Days (from the first) of the Fridays after the fourth Thursdays of November."""
    found = []
    for year in range(plan.first_day.year, plan.first_day.year + horizon // 365 + 2):
        first = date(year, 11, 1)
        friday = first + timedelta(days=(3 - first.weekday()) % 7 + 22)
        day = (friday - plan.first_day).days
        if 0 <= day < horizon:
            found.append(day)
    return found
