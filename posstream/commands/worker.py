"""Asks the worker at this machine's web view, by GraphQL."""

from collections.abc import Mapping
from typing import Any, Final

from posstream.domain.errors import WorkerUnreachable
from posstream.domain.printable import printable
from posstream.settings import Settings

_SECONDS: Final = 10.0


async def ask_worker(
    settings: Settings,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    seconds: float = _SECONDS,
) -> Mapping[str, Any]:
    """The data of an operation, asked with the operator's key if the settings have one.

    Raises:
        WorkerUnreachable: if no worker answers there in time, or it refuses.
    """
    import aiohttp

    key = settings.operator_key
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as http,
            http.post(
                f"{settings.web_url}/graphql/",
                json={"query": query, "variables": dict(variables or {})},
                headers=headers,
            ) as response,
        ):
            answer = await response.json()
            data: Mapping[str, Any] | None = answer.get("data")
            errors = [printable(str(it.get("message"))) for it in answer.get("errors", ())]
    except (aiohttp.ClientError, TimeoutError, ValueError) as why:
        raise WorkerUnreachable(
            f"no worker answers at {settings.web_url} ({type(why).__name__}): "
            "see POSSTREAM_WEB_HOST and POSSTREAM_WEB_PORT"
        ) from why
    if data is None:
        reason = errors[0] if errors and response.ok else "see POSSTREAM_API_KEY"
        raise WorkerUnreachable(
            f"the worker at {settings.web_url} refuses (HTTP {response.status}): {reason}"
        )
    return data
