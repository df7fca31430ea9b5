"""`ecom-pipeline init`: a new shop home, and the first exports in its landing folders."""

import json
import os
import shutil
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from rich.console import Console

from ecom_pipeline.cli.failures import CommandError
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, QuietOption
from ecom_pipeline.settings import Home, Settings
from ecom_pipeline.sources.profile import Feed, SourceProfile, read_profile

INCOMING_SUFFIX = ".incoming"


def init(
    profile: Annotated[str, typer.Option(help="Bundled source profile, or the path of a YAML file.")],
    home: HomeOption = DEFAULT_HOME,
    exports: Annotated[
        Path | None,
        typer.Option(help="Folder with the shop's exports, copied into landing.", exists=True, file_okay=False),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard-link the exports instead of copying them.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Make a shop home: settings, landing folders, warehouse, models, published, Dagster.

    A home that is there already keeps its settings and data; with --exports, files that are new or changed are added.

    Examples:

      ecom-pipeline init --profile online_retail --home shop --exports ~/exports

      ecom-pipeline init --profile my_shop.yaml --home shop
    """
    console = Console(quiet=quiet, highlight=False)
    shop = Home(home)
    existed = shop.settings_file.exists()
    chosen = _chosen_profile(profile, shop)
    if existed:
        settings = shop.settings()
        if settings.profile != chosen:
            raise CommandError(
                f"{shop.settings_file}: this home is of the profile {settings.profile!r}, not {chosen!r}. "
                "Choose another --home, or change the profile there by hand."
            )
    source = read_profile(chosen, base=shop.root)
    for folder in (shop.landing, shop.warehouse_file.parent, shop.models, shop.published_file.parent):
        folder.mkdir(parents=True, exist_ok=True)
    folders = landing_folders(source)
    for name in folders:
        (shop.landing / name).mkdir(exist_ok=True)
    from ecom_pipeline.orchestration.instance import write_instance

    write_instance(shop)
    if not existed:
        shop.settings_file.write_text(settings_text(chosen), encoding="utf-8")
    added = bring_in(exports, shop, folders, link=link) if exports is not None else 0
    verb = "Home of" if existed else "Made a home for"
    console.print(f"{verb} the profile [bold]{chosen}[/bold] in {shop.root}", soft_wrap=True)
    if exports is not None:
        console.print(f"{added} new or changed files brought into {shop.landing}", soft_wrap=True)
    elif not existed:
        console.print(
            "Put exports into "
            + ", ".join(f"{shop.landing / name}" for name in folders)
            + f", then run: ecom-pipeline nightly --home {home}",
            soft_wrap=True,
        )


def landing_folders(source: SourceProfile) -> dict[str, tuple[str, ...]]:
    """Folder below landing -> patterns of the files that the profile reads there."""
    folders: dict[str, tuple[str, ...]] = {}
    read = [(reader.folder or feed, reader.files) for feed in get_args(Feed) for reader in source.readers(feed)]
    read += [(lookup.folder, lookup.files) for lookup in source.lookups.values()]
    for folder, patterns in read:
        folders[folder] = tuple(dict.fromkeys((*folders.get(folder, ()), *patterns)))
    return folders


def settings_text(profile: str) -> str:
    """A settings file that names the profile and shows every other setting, commented out, with its default."""
    lines = [
        "# Settings of this shop. A line that is commented out shows the default; remove the # to change it.",
        "",
        f"profile: {profile}",
    ]
    for name, field in Settings.model_fields.items():
        if name == "profile":
            continue
        lines += ["", f"# {field.description}{_choices(field)}", f"# {name}: {_yaml_value(field.default)}"]
    return "\n".join(lines) + "\n"


def bring_in(exports: Path, shop: Home, folders: dict[str, tuple[str, ...]], *, link: bool) -> int:
    """Copy (or hard-link) the files of `exports` that the profile reads into landing; returns how many were new.

    Files are looked for in a folder named like the landing folder, else in `exports` itself. Each arrives under
    another name first and is moved into place whole, so that a night beside it never reads half of it.
    """
    added = found = 0
    for folder, patterns in folders.items():
        source = exports / folder if (exports / folder).is_dir() else exports
        for file in sorted({file for pattern in patterns for file in source.glob(pattern) if file.is_file()}):
            found += 1
            target = shop.landing / folder / file.relative_to(source)
            if _same_file(file, target):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming = target.with_name(f".{target.name}{INCOMING_SUFFIX}")
            incoming.unlink(missing_ok=True)
            if link:
                os.link(file, incoming)
            else:
                shutil.copy2(file, incoming)
            incoming.replace(target)
            added += 1
    if found == 0:
        expected = "; ".join(f"{folder}: {', '.join(patterns)}" for folder, patterns in folders.items())
        raise CommandError(f"{exports}: no file there fits the profile, which reads {expected}")
    return added


def _same_file(file: Path, target: Path) -> bool:
    if not target.exists():
        return False
    ours, theirs = file.stat(), target.stat()
    return (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)


def _chosen_profile(profile: str, shop: Home) -> str:
    """The profile as settings name it; a YAML file from elsewhere is copied into the home."""
    file = Path(profile)
    if file.suffix not in (".yaml", ".yml"):
        return profile
    if not file.is_file():
        raise CommandError(f"{file}: no such profile file")
    if not file.resolve().is_relative_to(shop.root):
        shop.root.mkdir(parents=True, exist_ok=True)
        kept = shop.root / file.name
        if kept.exists() and kept.read_bytes() != file.read_bytes():
            raise CommandError(f"{kept}: the home has another profile of that name; change or remove it there")
        shutil.copyfile(file, kept)
        return file.name
    return file.resolve().relative_to(shop.root).as_posix()


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    return f" One of {', '.join(get_args(field.annotation))}."


def _yaml_value(value: object) -> str:
    """The value as YAML on one line; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str) and value.replace("_", "").isalpha():
        return value
    return json.dumps(value, default=str)  # JSON is YAML
