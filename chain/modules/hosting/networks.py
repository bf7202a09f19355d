"""Hosting: the network that a host is in, by its first registered address.

Copies of a datum in one network are likely on one machine, or behind one door: they count as one copy (Storj
counts a /24 likewise). A host may register an address that is not its own; a committee that reads from hosts
will say which is.
"""

from ipaddress import AddressValueError, IPv4Address, IPv6Address

PREFIX_BYTES_V4 = 3
PREFIX_BYTES_V6 = 6


def compute_network(addresses: tuple[str, ...]) -> str:
    """`4:` and the /24 of an IPv4 address, `6:` and the /48 of an IPv6 one, both in hex; else the name.

    The name is what the address says between the first two slashes after its kind; "" without an address.
    """
    if not addresses:
        return ""
    kind, _, rest = addresses[0].strip("/").partition("/")
    name = rest.split("/")[0]
    try:
        if kind == "ip4":
            return "4:" + IPv4Address(name).packed[:PREFIX_BYTES_V4].hex()
        if kind == "ip6":
            return _compute_network_v6(IPv6Address(name))
    except AddressValueError:
        return name
    return name


def _compute_network_v6(address: IPv6Address) -> str:
    mapped = address.ipv4_mapped
    if mapped is not None:
        return "4:" + mapped.packed[:PREFIX_BYTES_V4].hex()
    return "6:" + address.packed[:PREFIX_BYTES_V6].hex()
