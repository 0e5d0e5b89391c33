"""The live configuration of a plugin: what is in force on this worker, and its edits."""

from typing import Any, Final

import graphene

from posstream.configuration.editing import Changed, LiveConfiguration, Note
from posstream.configuration.model import values_of
from web.access.reveals import Reveals
from web.graphql.context import GraphQLContext, Refused, refusal
from web.graphql.types import ContractType, JSONString, MutationError

#: The name of an editor in the history if there are no keys.
EDITOR: Final = "graphql"
#: Keys at any depth whose values name a customer, beside ids that do.
_NAMING: Final = frozenset({"customer_identifier"})


class PluginConfiguration(ContractType):  # graphene is untyped
    """The version that is in force on the worker that answers."""

    name = graphene.String(required=True)
    enabled = graphene.Boolean(required=True)
    version = graphene.Int(required=True, description="0 = never edited.")
    config = JSONString(required=True, description="The value of every key.")
    overrides = JSONString(
        required=True, description="What was set; any other key is at its default."
    )
    description = graphene.String(required=True)
    updated_at = graphene.String(description="ISO-8601, UTC.")
    updated_by = graphene.String()


class UpdatePluginConfiguration(graphene.Mutation):  # graphene is untyped
    """Change some keys, the switch, or both; every worker follows within 2 seconds."""

    class Arguments:
        """What changes, and what the caller has seen."""

        name = graphene.String(required=True)
        enabled = graphene.Boolean()
        config = JSONString(
            description="Key to value, or null for its default; keys not named stay."
        )
        expected_version = graphene.Int(
            description="Change nothing if the version is another one by now."
        )
        description = graphene.String()

    success = graphene.Boolean(required=True)
    version = graphene.Int(description="The newest version, also after a refusal.")
    plugin_configuration = graphene.Field(PluginConfiguration)
    error = graphene.Field(MutationError)

    @staticmethod
    async def mutate(  # noqa: PLR0913 - one for each argument
        _root: None,
        info: Any,
        name: str,
        *,
        enabled: bool | None = None,
        config: object = None,
        expected_version: int | None = None,
        description: str | None = None,
    ) -> "UpdatePluginConfiguration":
        """Write the next version; it is in force here when the answer leaves."""
        context: GraphQLContext = info.context
        live = context.configurations.get(name)
        if live is None:
            return UpdatePluginConfiguration(
                success=False, error=Refused("UNKNOWN_PLUGIN", _unknown(context))
            )
        by = context.caller.name if context.caller.keyed else EDITOR
        note = Note(by=by, description=description or "", expected_version=expected_version)
        outcome = await live.edit(config, enabled=enabled, note=note)
        if isinstance(outcome, Changed):
            version, error = outcome.version.version, None
        else:
            version, error = outcome.version, Refused(outcome.code, outcome.message)
        return UpdatePluginConfiguration(
            success=error is None,
            version=version,
            plugin_configuration=_shown(live, context.reveals),
            error=error,
        )


def configuration_query(default: str) -> type[graphene.ObjectType]:
    """The configuration, read: a mixin of `Query`.

    Args:
        default: the plugin that is meant where none is named.
    """

    class ConfigurationQuery(graphene.ObjectType):  # graphene is untyped
        plugin_configuration = graphene.Field(
            graphene.NonNull(PluginConfiguration), name=graphene.String(default_value=default)
        )

        @staticmethod
        def resolve_plugin_configuration(_root: None, info: Any, name: str | None = None) -> Any:
            """What is in force on this worker; an explicit null is the default."""
            context: GraphQLContext = info.context
            live = context.configurations.get(default if name is None else name)
            if live is None:
                raise refusal("UNKNOWN_PLUGIN", _unknown(context))
            return _shown(live, context.reveals)

    return ConfigurationQuery


def _shown(live: LiveConfiguration[Any], reveals: Reveals) -> dict[str, object]:
    """The fields of `PluginConfiguration`: what is in force on this worker.

    A plugin's keys may name customers.
    """
    value, version = live.current.value, live.current.in_force
    return {
        "name": live.plugin,
        "enabled": value.enabled,
        "version": value.version,
        "config": reveals.show_document(values_of(value), names=_NAMING),
        "overrides": reveals.show_document(dict(version.config), names=_NAMING),
        "description": version.description,
        "updated_at": version.updated_at,
        "updated_by": version.updated_by,
    }


def _unknown(context: GraphQLContext) -> str:
    names = sorted(context.configurations)
    are = "is" if len(names) == 1 else "are"
    return f"there is no such plugin; there {are} {', '.join(names) or 'none'}"
