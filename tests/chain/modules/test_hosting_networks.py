"""Networks: which hosts are one copy, by the address they registered."""

import pytest

from chain.modules.hosting.networks import compute_network

NETWORKS = [
    (("/ip4/192.0.2.77/tcp/7700/p2p/x",), "4:c00002"),
    (("/ip4/192.0.2.1/udp/1", "/ip4/198.51.100.1/tcp/1"), "4:c00002"),
    (("/ip4/192.0.3.77/tcp/7700",), "4:c00003"),
    (("/ip6/2001:db8:1:ffff::1/tcp/1",), "6:20010db80001"),
    (("/ip6/2001:0DB8:0001::/tcp/1",), "6:20010db80001"),
    (("/ip6/::ffff:192.0.2.9/tcp/1",), "4:c00002"),
    (("/dns/host.example/tcp/1",), "host.example"),
    (("/ip4/192.0.2.300/tcp/1",), "192.0.2.300"),
    (("/ip4",), ""),
    (("nonsense",), ""),
    ((), ""),
]


@pytest.mark.parametrize(("addresses", "network"), NETWORKS)
def test_a_network_is_a_24_or_a_48(addresses: tuple[str, ...], network: str) -> None:
    """The first address decides; writing it another way, or as IPv4 within IPv6, changes nothing."""
    assert compute_network(addresses) == network
