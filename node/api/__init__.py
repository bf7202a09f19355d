"""The HTTP API of a node: REST under /v1, a live feed, metrics, and local control. docs/spec/api.md.

server       the thread, its loop, connections            boundary   last resort per request and connection
app          routes, guards and errors put together       guards     Host header, rates, bodies
context      what routes are given                        feed       server-sent events
crossing     calls into the node's loop                   forms      records as JSON
services     what the node gives the API                  schemas    what answers look like
"""

from node.api.server import run_api
from node.api.services import ApiServices

__all__ = ["ApiServices", "run_api"]
