"""`ecom-pipeline show`: one thing from the published file, drawn for a terminal.

A forecast, a user, a product, or what is in quarantine; each reads the published file alone.
"""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.cli.finding import Row, product_named, published_night, published_user, series_named
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, existing_home
from ecom_pipeline.cli.printing import printable, safe

Measure = Literal["quantity", "revenue"]

PAST_DAYS = 42

app = typer.Typer(help="One forecast, user, product or quarantined row, drawn for a terminal.", no_args_is_help=True)


@app.command()
def forecast(
    series: Annotated[
        str, typer.Argument(help="Category, product (its id, or a part of its name), or nothing for all sales.")
    ] = "",
    measure: Annotated[Measure, typer.Option(help="Units or money.")] = "quantity",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What was sold in the last six weeks and what is expected, with the 80 % interval.

    Examples:

      ecom-pipeline show forecast --home shop

      ecom-pipeline show forecast "espresso machine" --measure revenue --home shop
    """
    with published_night(existing_home(home)) as published:
        level, series_id, name = series_named(published, series)
        sold = published.rows(
            f"SELECT date, {measure} AS value FROM sales_daily WHERE level = ? AND series_id = ? AND date <= ? "
            "AND date > ? ORDER BY date",
            [level, series_id, published.as_of, published.as_of - timedelta(days=PAST_DAYS)],
        )
        ahead = published.rows(
            "SELECT target_date AS date, mean, p10, p90, baseline FROM sales_forecasts "
            "WHERE as_of = ? AND level = ? AND series_id = ? AND measure = ? ORDER BY target_date",
            [published.as_of, level, series_id, measure],
        )
    if not ahead:
        raise CommandError(f"{name} has no {measure} forecast of the night of {published.as_of}.")
    if as_json:
        _print_json(
            {
                "series": name,
                "level": level,
                "series_id": series_id,
                "measure": measure,
                "sold": sold,
                "forecast": ahead,
            }
        )
        return
    from ecom_pipeline.cli.terminal_plot import Day, plot

    console = Console(highlight=False)
    console.print(
        f"[bold]{safe(name)}[/bold]  {measure} a day, {sold[0]['date'] if sold else '-'} to {ahead[-1]['date']}"
    )
    room = max(20, console.width - 12)
    past = [Day(sold=row["value"]) for row in sold][-max(0, room - len(ahead)) :]
    console.print(plot([*past, *(Day(mean=row["mean"], low=row["p10"], high=row["p90"]) for row in ahead)]), crop=True)
    week = ahead[:7]
    last = sum(row["value"] or 0 for row in sold[-7:])
    console.print(
        f"● sold   [blue]━ expected   ░ 80 % interval[/blue]   last 7 days {last:,.0f}, "
        f"next {len(week)} days {sum(row['mean'] for row in week):,.0f} "
        f"(seasonal profile {sum(row['baseline'] for row in week):,.0f})",
        soft_wrap=True,
    )


@app.command()
def user(
    user_id: Annotated[str, typer.Argument(help="User, as the shop names them.")],
    events: Annotated[int, typer.Option(min=1, max=1000, help="Events of the history.")] = 10,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What a user did last, and what comes next, why, and how likely it is bought.

    Where published ids are hashed, the shop's own id is found if the key is in the environment.

    Example:

      ecom-pipeline show user C00137 --home shop
    """
    shop = existing_home(home)
    user_id = published_user(shop, user_id)
    with published_night(shop) as published:
        history = published.rows(
            "SELECT e.event_ts, e.event, e.item_id, i.name, e.quantity, e.price FROM user_events e "
            "LEFT JOIN items i USING (item_id) WHERE e.user_id = ? ORDER BY e.position DESC LIMIT ?",
            [user_id, events],
        )
        if not history:
            near = published.rows(
                "SELECT DISTINCT user_id FROM user_events "
                "ORDER BY jaro_winkler_similarity(user_id, ?) DESC, user_id LIMIT 3",
                [user_id],
            )
            known = ", ".join(row["user_id"] for row in near)
            raise CommandError(
                f"No user {user_id!r} did anything up to {published.as_of}. Alike are: {known or 'none'}."
            )
        told = published.rows("SELECT segment, last_purchase, frequency FROM user_rfm WHERE user_id = ?", [user_id])
        steps = published.rows(
            "SELECT n.likeliest, n.p_buys, n.window_days, s.description FROM next_steps n "
            "LEFT JOIN user_segments u USING (as_of, user_id) LEFT JOIN segments s USING (as_of, segment) "
            "WHERE n.as_of = ? AND n.user_id = ?",
            [published.as_of, user_id],
        )
        recommended = published.rows(
            "SELECT r.rank, r.item_id, i.name, r.reason, p.probability, p.window_days FROM recommendations r "
            "LEFT JOIN items i USING (item_id) LEFT JOIN purchase_predictions p USING (as_of, user_id, item_id) "
            "WHERE r.as_of = ? AND r.user_id = ? ORDER BY r.rank LIMIT 10",
            [published.as_of, user_id],
        )
    if as_json:
        _print_json(
            {
                "user_id": user_id,
                "segment": told[0] if told else None,
                "next_step": steps[0] if steps else None,
                "history": history,
                "recommendations": recommended,
            }
        )
        return
    console = Console(highlight=False)
    segment = f"{told[0]['segment']}, last bought {told[0]['last_purchase']}" if told else "has not bought yet"
    console.print(f"[bold]{safe(user_id)}[/bold]  {segment}")
    for step in steps:
        console.print(
            f"Next {step['window_days']} days: buys something with {step['p_buys']:.0%}; "
            f"likeliest first step: {step['likeliest']}"
            + (f". Of the segment: {safe(step['description'])}" if step["description"] else ""),
            soft_wrap=True,
        )
    console.print(
        _grid(
            "What the user did last (UTC)",
            {"time": "time", "event": "event", "name": "product"},
            [
                {**row, "time": f"{row['event_ts']:%Y-%m-%d %H:%M}", "name": row["name"] or row["item_id"]}
                for row in history
            ],
        )
    )
    if not recommended:
        console.print("No recommendations: the user did nothing in the days that the setting active_user_days counts.")
        return
    console.print(
        _grid(
            "What comes next",
            {"rank": "", "name": "product", "likely": "buys it", "reason": "because"},
            [
                {
                    **row,
                    "name": row["name"] or row["item_id"],
                    "likely": f"{row['probability']:.1%} in {row['window_days']} days"
                    if row["probability"] is not None
                    else "",
                }
                for row in recommended
            ],
        )
    )


@app.command()
def item(
    product: Annotated[str, typer.Argument(help="Product: its id, or a part of its name.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """A product: what is known of it, what is like it, and what it is expected to sell.

    Example:

      ecom-pipeline show item "coffee beans" --home shop
    """
    with published_night(existing_home(home)) as published:
        item_id, _ = product_named(published, product)
        (facts,) = published.rows("SELECT * FROM items WHERE item_id = ?", [item_id])
        similar = published.rows(
            "SELECT s.rank, s.similar_item_id AS item_id, i.name, i.category, s.score FROM similar_items s "
            "LEFT JOIN items i ON i.item_id = s.similar_item_id "
            "WHERE s.as_of = ? AND s.item_id = ? ORDER BY s.rank LIMIT 10",
            [published.as_of, item_id],
        )
        ((expected,),) = published.tuples(
            "SELECT sum(mean) FROM sales_forecasts "
            "WHERE as_of = ? AND level = 'product' AND series_id = ? AND measure = 'quantity' AND horizon <= 7",
            [published.as_of, item_id],
        )
    if as_json:
        _print_json({"item": facts, "similar": similar, "expected_units_next_7_days": expected})
        return
    console = Console(highlight=False)
    console.print(f"[bold]{safe(facts['name'] or item_id)}[/bold]  {item_id}")
    shown = {
        name: facts[name]
        for name in ("category", "brand", "price", "stock", "first_seen", "last_sold")
        if facts[name] is not None
    }
    console.print(
        "  ".join(f"[dim]{name.replace('_', ' ')}[/dim] {safe(value)}" for name, value in shown.items()),
        soft_wrap=True,
    )
    if expected is None:
        console.print("No forecast: it has not sold in the days that the setting forecast_active_days counts.")
    else:
        console.print(f"Next 7 days: {expected:,.1f} units expected")
    console.print(
        _grid(
            "Alike in what people do with them",
            {"rank": "", "name": "product", "category": "category", "score": "score"},
            [{**row, "name": row["name"] or row["item_id"], "score": f"{row['score']:.2f}"} for row in similar],
        )
        if similar
        else "No similar products: too few people did anything with it."
    )


@app.command()
def quarantine(
    feed: Annotated[str, typer.Argument(help="Feed; without one, all feeds by rule.")] = "",
    rule: Annotated[str, typer.Option(help="Rule; default: the one with most rows.")] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What is in quarantine; for one feed a row of it, with the lines of its file around it.

    Examples:

      ecom-pipeline show quarantine --home shop

      ecom-pipeline show quarantine orders --rule unit_price_between --home shop
    """
    shop = existing_home(home)
    with published_night(shop) as published:
        rows = published.rows(
            "SELECT feed, rule, arg_min(reason, path) AS reason, sum(rows)::BIGINT AS rows, count(*) AS files, "
            "max(path) AS path, arg_max(first_line, path) AS line, arg_max(example, path) AS example "
            "FROM quarantine_summary WHERE (? = '' OR feed = ?) AND (? = '' OR rule = ?) GROUP BY feed, rule "
            "ORDER BY rows DESC, feed, rule",
            [feed, feed, rule, rule],
        )
        known = published.rows("SELECT DISTINCT feed, rule FROM quarantine_summary ORDER BY feed, rule", [])
    if not rows and (feed or rule):
        feeds = ", ".join(dict.fromkeys(row["feed"] for row in known)) or "no feed at all"
        rules = ", ".join(row["rule"] for row in known if row["feed"] == feed)
        asked = " ".join(word for word in (feed, rule and f"--rule {rule}") if word)
        raise CommandError(
            f"Nothing is in quarantine for {asked!r}. "
            + (f"Rules of {feed} with rows in it are {rules}." if rules else f"There are rows of {feeds}.")
        )
    from ecom_pipeline.cli.quarantine_context import context_of

    context = context_of(shop.landing / rows[0]["path"], rows[0]["line"]) if feed else None
    if as_json:
        _print_json({"quarantine": rows, "context": asdict(context) if context is not None else None})
        return
    console = Console(highlight=False)
    if not rows:
        console.print("Nothing is in quarantine.")
        return
    if context is None:
        console.print(
            _grid(
                "In quarantine",
                {"feed": "feed", "rule": "rule", "rows": "rows", "files": "files", "reason": "what is wrong"},
                rows,
            )
        )
        console.print("A row in its context: ecom-pipeline show quarantine FEED --rule RULE", style="dim")
        return
    first = rows[0]
    console.print(f"[bold]{first['feed']}, {first['rule']}[/bold]  {first['rows']:,} rows in {first['files']:,} files")
    console.print(safe(first["reason"]), soft_wrap=True)
    where = f", line {first['line']}" if first["line"] else ""
    console.print(f"\n{safe(first['path'])}{where}", style="dim")
    for number, text in context.lines:
        mark, style = ("▶", "bold yellow") if number == first["line"] else (" ", "")
        console.print(Text(f"{mark} {number:>8}  {printable(text)}", style=style), soft_wrap=True)
    if context.why_not:
        console.print(
            f"[dim]No lines around it: {safe(context.why_not)}. The row as it was read:[/dim]", soft_wrap=True
        )
        console.print(Text(printable(first["example"])), soft_wrap=True)


def _grid(title: str, columns: dict[str, str], rows: list[Row]) -> Grid:
    grid = Grid(title=f"\n{title}", title_justify="left", box=None, header_style="dim", title_style="bold")
    for key, heading in columns.items():
        grid.add_column(
            heading, justify="right" if key in ("rank", "rows", "files", "score") else "left", overflow="fold"
        )
    for row in rows:
        grid.add_row(*(Text("" if row[key] is None else printable(row[key])) for key in columns))
    return grid


def _print_json(told: object) -> None:
    typer.echo(json.dumps(told, default=str, indent=2, ensure_ascii=False))
