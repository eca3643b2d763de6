"""Pages made of what can be imported: settings, commands, the API, metrics."""

import inspect
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import click
from prometheus_client.core import Metric

from reactor.cli.commands import SECTIONS, cli
from reactor.engine.metrics import CountedMeter, Metrics, _Whole
from reactor.engine.supervisor import Reactor
from reactor.settings import described
from reactor.web.api import document
from tools.docs.words import mono, page, plain, table

PROGRAM = "voxyz-reactor"


def files() -> dict[str, str]:
    """Every such page."""
    return {
        "docs/reference/settings.md": settings(),
        "docs/reference/commands.md": commands(),
        "docs/reference/api.md": api(),
        "docs/reference/metrics.md": metrics(),
    }


def settings() -> str:
    """Every environment variable."""
    rows = (
        (mono(one.name), plain(one.description), plain(one.unit), plain(one.default)) for one in described()
    )
    return page(
        "Settings",
        "Environment variables. What the environment does not say comes from `.env.local`, then `.env` of the working"
        " directory; an empty variable counts as unset. `voxyz-reactor run --help` prints the same list.",
        table(("variable", "meaning", "unit or choice", "default"), rows),
    )


def commands() -> str:
    """Every command with its help."""
    root = click.Context(cli, info_name=PROGRAM, max_content_width=100, terminal_width=100)
    parts = []
    for title, entries in SECTIONS.items():
        parts.append(f"## {title}")
        for name, entry in entries.items():
            command = cli.get_command(root, name)
            if command is not None and not entry.hidden:
                parts += _command(command, name, root)
    return page(
        "Commands",
        "Exit code 0: done. 1: the thing failed. 2: wrong usage or configuration, and nothing was done."
        " Answers go to stdout; logs, and the one line of an error, to stderr."
        " In a checkout the program is `bin/voxyz-reactor`.",
        *parts,
    )


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    ctx = click.Context(command, info_name=name, parent=parent)
    yield f"### {ctx.command_path.removeprefix(f'{PROGRAM} ')}"
    # The settings have a page of their own; everything else is told as --help tells it.
    help_text = command.get_help(ctx) if name != "run" else _without_settings(command, ctx)
    yield f"```text\n{help_text.rstrip()}\n```"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(ctx):
            child = command.get_command(ctx, child_name)
            if child is not None:
                yield from _command(child, child_name, ctx)


def _without_settings(command: click.Command, ctx: click.Context) -> str:
    formatter = ctx.make_formatter()
    command.format_usage(ctx, formatter)
    command.format_help_text(ctx, formatter)
    click.Command.format_options(command, ctx, formatter)
    return inspect.cleandoc(formatter.getvalue())


def api() -> str:
    """Every operation of the API, by topic."""
    told: dict[str, Any] = json.loads(document())
    topics: dict[str, list[str]] = defaultdict(list)
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            for tag in operation["tags"]:
                topics[tag].append(_operation(method, path, operation, told))
    return page(
        "HTTP API",
        "What `/api/ops/openapi.json` of a running reactor says, in short; the document has the shapes of the answers."
        f" {plain(told['info']['description'])}",
        *(part for tag, parts in topics.items() for part in (f"## {tag}", *parts)),
    )


def _operation(method: str, path: str, operation: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    lines = [f"### {method.upper()} {path}", f"{plain(operation['summary'])}."]
    asked = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
    if asked:
        lines.append(f"Query: {', '.join(map(mono, asked))}.")
    body = operation.get("requestBody")
    if body is not None:
        schema = _followed(next(iter(body["content"].values()))["schema"], told)
        needed = schema.get("required", [])
        named = [
            mono(name) + ("" if name in needed else " (may be left out)")
            for name in schema.get("properties", {})
        ]
        lines.append(f"Body: {', '.join(named) or 'a JSON object'}.")
    good = ", ".join(status for status in operation["responses"] if status < "300")
    lines.append(f"Answers {good}.")
    return "\n\n".join(lines)


def _followed(schema: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = told["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def metrics() -> str:
    """Every family of /metrics of ours."""
    rows = (
        (
            mono(one.name + ("_total" if one.type == "counter" else "")),
            one.type,
            plain(one.documentation),
            ", ".join(map(mono, _labels(one))),
        )
        for one in _families()
    )
    return page(
        "Metrics",
        "What `/metrics` of every `run` says, beside the usual metrics of a process. Counters are one process's own:"
        " sum them. Gauges of rows, breakers, budgets and pauses are the whole database's, the same from every process.",
        table(("name", "type", "meaning", "labels"), rows),
    )


def _families() -> list[Metric]:
    """What a reactor without any queue would say: all families, no values."""
    nothing = SimpleNamespace(
        lines={}, rescuer=SimpleNamespace(rescued={}), listener=SimpleNamespace(up=False), completers={}
    )
    told = Metrics(lambda: cast("Reactor", nothing), calls=CountedMeter())
    told._whole = _Whole()
    return list(told.families())


def _labels(family: Metric) -> tuple[str, ...]:
    return tuple(getattr(family, "_labelnames", ()))
