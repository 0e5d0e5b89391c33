"""Asks plugins for their parts of the web view; one that cannot give its part fails alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posstream.plugin import Plugin
from web.console.part import ConsolePart
from web.folding import fitting, not_made
from web.graphql.schema import Schema, build_schema


@dataclass(frozen=True, slots=True)
class PluginParts:
    """The parts that fit together."""

    schema: Schema
    #: By the name of their plugin.
    pages: Mapping[str, ConsolePart]
    #: Plugins that could not give a part, each with the reason.
    failures: Mapping[str, str]


def plugin_parts(plugins: Sequence[Plugin]) -> PluginParts:
    """What the plugins add to GraphQL and to the console.

    Raises:
        StartRefused: if two of them claim one field of the schema; both are named.
    """
    graphql: dict[str, Any] = {}
    pages: dict[str, ConsolePart] = {}
    failures: dict[str, str] = {}

    def take(name: str, what: str, make: Callable[[], Any] | None, into: dict[str, Any]) -> None:
        if make is None or name in failures:
            return
        try:
            into[name] = make()
        except (Exception, SystemExit) as why:  # noqa: BLE001 - a plugin's own code
            failures[name] = not_made(name, what, why)

    for plugin in plugins:
        take(plugin.name, "GraphQL", plugin.graphql, graphql)
        take(plugin.name, "pages", plugin.pages, pages)
    default = next((plugin.name for plugin in plugins if plugin.is_default), "")
    schema, misfits = fitting(
        graphql,
        lambda fit: build_schema(fit, default=default),
        lambda name, why: not_made(name, "GraphQL", why),
    )
    failures |= misfits
    kept = {name: part for name, part in pages.items() if name not in failures}
    return PluginParts(schema, kept, failures)
