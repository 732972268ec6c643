"""How an option is declared, shown, and found in the environment and the configuration file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from piwik_import.errors import EXIT_CODES, UsageError, printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

PREFIX = "PIWIK_IMPORT_"


class Topic(click.Option):
    """An option that stands under a topic in the help, and that the environment may set."""

    def __init__(self, *args: Any, topic: str = "", env: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.topic = topic
        long = max((name for name in self.opts if name.startswith("--")), key=len, default="")
        names = [PREFIX + name.lstrip("-").replace("-", "_").upper() for name in self.opts if name.startswith("--")]
        self.envvar = [*names, *([env] if env else [])] if long else None


class Command(click.Command):
    """A command whose help groups the options by topic."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        topics: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                topics.setdefault(getattr(parameter, "topic", "") or "Other", []).append(record)
        for topic, records in topics.items():
            with formatter.section(topic):
                formatter.write_dl(records)


class DefaultGroup(click.Group):
    """A group that takes what is no command for the arguments of ``import``, and shows its help as its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h", "--version"):
            args = ["import", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[import] [OPTIONS] LOG...")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS] ...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        self.commands["import"].format_options(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


Decorator = Callable[[Any], Any]


def option(*names: str, **attributes: Any) -> Callable[[str], Decorator]:
    """Declare an option; the topic that it stands under is given by its group."""
    attributes.setdefault("show_default", "default" in attributes and attributes["default"] is not None)
    return lambda topic: click.option(*names, cls=Topic, topic=topic, **attributes)


def group(topic: str, *options: Callable[[str], Decorator]) -> Decorator:
    """Return the decorator that gives a command the options of one topic, in this order."""

    def decorate(command: Any) -> Any:
        for one in reversed(options):
            command = one(topic)(command)
        return command

    return decorate


def taken(kind: type[T], options: dict[str, Any]) -> T:
    """Take the fields of a dataclass out of `options` and make one of them."""
    return kind(**{field.name: options.pop(field.name) for field in fields(kind) if field.name in options})


def read_config(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Take the keys of a TOML file as defaults. They are the options' names."""
    places = [Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "piwik-import" / "config.toml"]
    places.append(Path("/etc/piwik-import.toml"))
    path = path or next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {printable(str(path))}: {error}") from None
    names = {
        name.lstrip("-").replace("-", "_"): parameter
        for parameter in ctx.command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if parameter.name != "config"
    }
    defaults: dict[str, Any] = {}
    for key, value in table.items():
        known = names.get(key.replace("-", "_"))
        if known is None:
            raise UsageError(f"{printable(str(path))}: there is no option {printable(key)}")
        if known.multiple:
            defaults[str(known.name)] = [str(one) for one in (value if isinstance(value, list) else [value])]
            continue
        if isinstance(value, list):
            value = ",".join(map(str, value))
        if isinstance(value, dict):
            raise UsageError(f"{printable(str(path))}: {printable(key)} is an option, not a table")
        defaults[str(known.name)] = (
            value if isinstance(value, bool) else str(value)
        )  # and click reads it as an argument
    ctx.default_map = defaults
    return path
