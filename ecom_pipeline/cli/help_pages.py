"""How help reads: paragraphs as wide as the terminal, examples that stand out, flags without a type beside them."""

import inspect
from collections.abc import Callable
from typing import Any

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

EXAMPLE = "ecom-pipeline "
"""How a line of a docstring begins that is an example."""


class ReadableCommand(TyperCommand):
    """A command whose flags are shown as what they are typed as: a name and nothing more."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments, `--help` among them."""
        return _flags_without_type(super().get_params(ctx))


class ReadableGroup(TyperGroup):
    """The same for a group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments, `--help` among them."""
        return _flags_without_type(super().get_params(ctx))


def make_readable(app: typer.Typer) -> None:
    """Let every command of an app and of its groups have its docstring as its help."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.cls = ReadableCommand
            command.help = help_of(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance.info.cls = ReadableGroup
            make_readable(group.typer_instance)


def help_of(command: Callable[..., Any]) -> str:
    """The docstring as help: its paragraphs without line breaks, its examples indented and coloured."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(_paragraph(" ".join(paragraph.split())) for paragraph in paragraphs)


def _paragraph(text: str) -> str:
    return f"[cyan]  {escape(text)}[/cyan]" if text.startswith(EXAMPLE) else escape(text)


def _flags_without_type(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params
