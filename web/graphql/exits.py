"""Keeps a resolver that calls `sys.exit` from ending the worker: the call is that field's error.

asyncio ends the event loop at a SystemExit in any task, and resolvers are plugins' code.
"""

import functools
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from inspect import iscoroutine
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema


def contain_exits(schema: GraphQLSchema) -> None:
    """Wrap every resolver and every source of a subscription's events."""
    for kind in schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType) or kind.name.startswith("__"):
            continue
        for field in kind.fields.values():
            # graphene's own resolvers, which only read an attribute, are partial functions.
            if field.resolve is not None and not isinstance(field.resolve, functools.partial):
                field.resolve = _resolver(field.resolve)
            if field.subscribe is not None:
                field.subscribe = _source(field.subscribe)


def _resolver(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def contained(source: Any, info: Any, **arguments: Any) -> Any:
        try:
            result = resolve(source, info, **arguments)
        except SystemExit as why:
            raise _exited(why) from why
        return _awaited(result) if iscoroutine(result) else result

    return contained


async def _awaited(result: Awaitable[Any]) -> Any:
    try:
        return await result
    except SystemExit as why:
        raise _exited(why) from why


def _source(subscribe: Callable[..., Any]) -> Callable[..., Any]:
    async def contained(source: Any, info: Any, **arguments: Any) -> Any:
        try:
            events = subscribe(source, info, **arguments)
            if iscoroutine(events):
                events = await events
        except SystemExit as why:
            raise _exited(why) from why
        return _Events(events) if isinstance(events, AsyncIterable) else events

    return contained


class _Events(AsyncIterator[Any]):
    """A subscription's events; not a generator, because one that never began closes nothing."""

    def __init__(self, events: AsyncIterable[Any]) -> None:
        self._events: Any = aiter(events)

    async def __anext__(self) -> Any:
        try:
            return await anext(self._events)
        except SystemExit as why:
            raise _exited(why) from why

    async def aclose(self) -> None:
        await self._events.aclose()


def _exited(why: SystemExit) -> RuntimeError:
    return RuntimeError(f"a resolver called sys.exit({why.code!r})")
