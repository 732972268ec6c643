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

INSTALL = "piwik_import.install"
"""Where a context keeps the config.ini.php that --config named."""

SECRETS = frozenset({"token", "auth_password", "proxy", "headers"})
"""Options whose values not everybody should be able to read."""

PREFIX = "PIWIK_IMPORT_"

SECTIONS = {
    "segment": {
        "server_url": "url",
        "site_id": "idsite",
        "goals": "goal",
        "custom_variable_limit": "custom_variable_limit",
    }
}
"""Tables of a configuration file that hold options by other names: Segment's settings."""


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {name for one in self.params if isinstance(one, click.Option) and one.is_flag for name in one.opts}
        return super().parse_args(ctx, [text for arg in args for text in _switched(arg, flags)])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        topics: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                topics.setdefault(getattr(parameter, "topic", "") or "Other", []).append(record)
        for topic, records in topics.items():
            with formatter.section(topic):
                formatter.write_dl(records)


def _switched(argument: str, flags: set[str]) -> list[str]:
    """Take ``--flag=true`` for the flag, and ``--flag=false`` for nothing: other importers' flags have values."""
    name, _, value = argument.partition("=")
    if name not in flags or value.lower() not in (*YES, *NO):
        return [argument]
    return [name] if value.lower() in YES else []


YES, NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


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


def config_folder() -> Path:
    """Return the folder of all that the user has settled for good."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "piwik-import"


def read_config(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Take the keys of a TOML file as defaults: the options' names. A config.ini.php is for the token alone."""
    places = [config_folder() / "config.toml", Path("/etc/piwik-import.toml")]
    if path is not None and path.name.endswith(".php"):
        ctx.meta[INSTALL], path = path, None
    path = path or next((place for place in places if place.is_file()), None)
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {printable(str(path))}: {error}") from None
    table |= _sections(path, table)
    names = _names(ctx.command)
    above = ctx.parent.command if ctx.parent else None
    others = _names(*above.commands.values()) if isinstance(above, click.Group) else {}
    defaults: dict[str, Any] = {}
    for key, value in table.items():
        if key in SECTIONS:
            continue
        known = names.get(key.replace("-", "_"))
        if known is None and key.replace("-", "_") in others:
            continue  # one file serves all commands
        if known is None or known.name is None:
            raise UsageError(f"{printable(str(path))}: there is no option {printable(key)}")
        if known.multiple:
            value = _several(value)
        elif isinstance(value, dict):
            raise UsageError(f"{printable(str(path))}: {printable(key)} is an option, not a table")
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        # A text is read by click as an argument is.
        defaults[known.name] = value if isinstance(value, bool | list) else str(value)
    if defaults.keys() & SECRETS:
        warn_if_public(path)
    ctx.default_map = defaults
    return path


def _sections(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Return the options that stand in tables of their own. Raises UsageError."""
    found: dict[str, Any] = {}
    for section, options in SECTIONS.items():
        inner = table.get(section, {})
        values = {key.replace("-", "_"): value for key, value in inner.items()} if isinstance(inner, dict) else None
        if values is None or values.keys() - options.keys():
            raise UsageError(f"{printable(str(path))}: [{section}] is a table of {', '.join(options)}")
        found |= {options[key]: value for key, value in values.items()}
    return found


def warn_if_public(path: Path) -> None:
    """Warn of a file with a secret in it that everybody may read."""
    if path.stat().st_mode & 0o004:
        click.echo(
            f"piwik-import: {printable(str(path))} holds a secret, and everybody may read it: chmod 600 it", err=True
        )


def _names(*commands: click.Command) -> dict[str, click.Option]:
    """Return the options of commands by the names that a file calls them."""
    return {
        name.lstrip("-").replace("-", "_"): parameter
        for command in commands
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name != "config"
        for name in parameter.opts
    }


def _several(value: object) -> list[str]:
    """Return the values of an option that may be repeated: a table stands for NAME=VALUE, again and again."""
    if isinstance(value, dict):
        return [f"{name}={one}" for name, of in value.items() for one in (of if isinstance(of, list) else [of])]
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]
