"""`/metrics`: what the worker counts, in the format that the scraper asks for."""

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def metrics_routes(registry: CollectorRegistry) -> list[web.RouteDef]:
    """`/metrics`: Prometheus' text format, or OpenMetrics."""

    async def metrics(request: web.Request) -> web.Response:
        try:
            encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        except TypeError:  # raised for a version that is no number
            encode, content_type = choose_encoder("")
        return web.Response(body=encode(registry), headers={hdrs.CONTENT_TYPE: content_type})

    return [web.get("/metrics", metrics)]
