"""`ecom-pipeline health`, `doctor`, `backup`, `restore`, `rebuild`: keeping a shop home well."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ecom_pipeline.cli.failures import CommandError, ExitCode
from ecom_pipeline.cli.options import DEFAULT_HOME, HomeOption, JsonOption, QuietOption, existing_home
from ecom_pipeline.settings import Home


def health(
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    prometheus: Annotated[
        Path | None, typer.Option(help="Also write metrics to this file, in the text format of Prometheus.")
    ] = None,
) -> None:
    """Last night, freshness of each feed, failing checks, champions, disk; for people and for monitors.

    Exit status: 0 well, 1 warning, 2 critical. It reads the published file alone, so it answers while a night runs.

    Example:

      ecom-pipeline health --home shop --quiet --prometheus /var/lib/node_exporter/shop.prom
    """
    from ecom_pipeline.operations.health import health_of, write_prometheus

    found = health_of(existing_home(home))
    if prometheus is not None:
        write_prometheus(found.metrics, prometheus)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "level": found.level.name.lower(),
                    "symptoms": [asdict(one) | {"level": one.level.name.lower()} for one in found.symptoms],
                    "metrics": [
                        {"name": one.name, "value": one.value, "labels": dict(one.labels)} for one in found.metrics
                    ],
                },
                indent=2,
                ensure_ascii=False,
            )
        )
    elif not quiet:
        typer.echo(f"{existing_home(home).root}: {found.level.name.lower()}")
        for symptom in found.symptoms:
            typer.echo(f"{symptom.level.name.lower():9s}{symptom.name}: {symptom.sentence}")
    raise typer.Exit(int(found.level))


def doctor(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Look through the home for damage, and say of each finding what to do. Changes nothing.

    Exit status: 0 nothing is damaged, 1 something is.

    Example:

      ecom-pipeline doctor --home shop
    """
    from ecom_pipeline.operations.doctor import examine

    findings = examine(existing_home(home))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:8s} {finding.part}: {finding.what}")
            if finding.advice:
                typer.echo(f"{'':8s} -> {finding.advice}")
    if any(finding.level == "damaged" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def backup(
    target: Annotated[Path, typer.Argument(help="A new folder for the backup.", file_okay=False)],
    home: HomeOption = DEFAULT_HOME,
    quiet: QuietOption = False,
) -> None:
    """Copy the home to a new folder, whole or not at all; a run in progress is waited for.

    Example:

      ecom-pipeline backup /backups/shop-2011-12-09 --home shop
    """
    from ecom_pipeline.operations.backup import BackupError, back_up

    try:
        report = back_up(existing_home(home), target)
    except BackupError as error:
        raise CommandError(str(error)) from None
    if not quiet:
        typer.echo(f"{report.files} files, {report.bytes / 2**20:.1f} MiB, in {report.target} ({report.seconds} s)")


def restore(
    source: Annotated[Path, typer.Argument(help="The folder of a backup.", exists=True, file_okay=False)],
    home: HomeOption = DEFAULT_HOME,
    quiet: QuietOption = False,
) -> None:
    """Put a backup into the place of a home that is not there, after checking that it is whole.

    Example:

      mv shop shop.broken && ecom-pipeline restore /backups/shop-2011-12-09 --home shop
    """
    from ecom_pipeline.operations.backup import BackupError
    from ecom_pipeline.operations.backup import restore as put_back

    try:
        files = put_back(source, Home(home))
    except BackupError as error:
        raise CommandError(str(error)) from None
    if not quiet:
        typer.echo(f"{files} files restored to {Home(home).root}; see that all is well: ecom-pipeline doctor")


def rebuild(home: HomeOption = DEFAULT_HOME, quiet: QuietOption = False) -> None:
    """Move a damaged warehouse aside and make a new one; past nights come back from the published file.

    The next night loads landing anew. Rows of files that are no longer in landing are lost: restore a backup instead.

    Example:

      ecom-pipeline rebuild --home shop && ecom-pipeline nightly --home shop
    """
    from ecom_pipeline.operations.rebuilding import rebuild as make_anew

    report = make_anew(existing_home(home))
    if not quiet:
        typer.echo(f"The former warehouse is {report.moved_to or 'not there'}.")
        typer.echo(f"{sum(report.rows.values()):,} rows of past nights are back; now run: ecom-pipeline nightly")
