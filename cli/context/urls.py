"""URLs of nodes' APIs: built from host and port, and checked when a person typed one."""

import ipaddress

from cli.errors import UsageFault

URL_CHARS_SHOWN = 80


def build_url(host: str, port: int) -> str:
    """`http://127.0.0.1:7780`, `http://[::1]:7780`: an IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    return f"http://{f'[{host}]' if _is_ipv6(host) else host}:{port}"


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def check_url(text: str) -> str:
    """The URL without a slash at its end; raises UsageFault if no request can go there."""
    import httpx

    shown = text[:URL_CHARS_SHOWN]
    if "://" not in text:
        raise UsageFault(f"{shown!r} has no scheme", f"write http://{shown}")
    try:
        url = httpx.URL(text)
        url.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageFault(f"{shown!r} is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageFault(f"{shown!r} is no URL of an API", "http://HOST:PORT")
    return text.rstrip("/")
