"""The address book and its texts: bounded tables, no dominant range, damaged files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import InvalidPeerAddress
from p2p.identity import (
    PeerAddress,
    compute_peer_id,
    format_peer,
    parse_address,
    parse_listen_address,
    parse_peer,
)
from p2p.peers import addresses
from p2p.peers.addresses import AddressBook, compute_range

OWN = compute_peer_id(bytes(32))


def build_address(number: int, host: str = "10.0.0.1") -> str:
    """An address of a peer of its own."""
    return str(PeerAddress(host, 1000 + number % 60000, compute_peer_id(number.to_bytes(32))))


@given(key=st.binary(min_size=32, max_size=32))
def test_peer_ids_have_one_text(key: bytes) -> None:
    """Every Ed25519 peer id survives its text form."""
    assert parse_peer(format_peer(compute_peer_id(key))) == compute_peer_id(key)


def test_the_text_is_libp2ps() -> None:
    """The text form is the one of the libp2p specification (peer-ids.md, test vectors)."""
    key = bytes.fromhex("1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
    assert format_peer(compute_peer_id(key)) == "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/127.0.0.1/udp/1",
        "/ip4/127.0.0.1/tcp/65536",
        "/ip4/127.0.0.1/tcp/-1",
        "/ip4/127.0.0.1/tcp/٣",
        "/ip4/::1/tcp/1",
        "/ip6/127.0.0.1/tcp/1",
        "/ip4/127.0.0.256/tcp/1",
        "/dns/a b/tcp/1",
        "/dns/../tcp/1",
        "/ip4/127.0.0.1/tcp/1/p2p/" + "1" * 600,
        "/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        "/ip4/127.0.0.1/tcp/1/p2p/0OIl",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """Text that is not an address raises InvalidPeerAddress and nothing else."""
    with pytest.raises(InvalidPeerAddress):
        parse_address(text)


@given(text=st.text(max_size=300))
def test_no_text_raises_anything_else(text: str) -> None:
    """Any text is an address or InvalidPeerAddress."""
    for parse in (parse_address, parse_listen_address, parse_peer):
        try:
            parse(text)
        except InvalidPeerAddress:
            continue


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "seed.example.org"])
def test_addresses_survive_their_text(host: str) -> None:
    """IPv4, IPv6 and names survive."""
    place = PeerAddress(host, 4001, OWN)
    assert parse_address(str(place)) == place


def test_a_range_cannot_fill_the_book() -> None:
    """Ten thousand addresses of one range replace no address of another range."""
    book = AddressBook(OWN)
    honest = [build_address(number, f"10.{number}.0.1") for number in range(1, 100)]
    book.add(honest)
    book.add(build_address(number, f"66.6.{number % 250}.1") for number in range(1000, 11000))
    assert len(book) == addresses.NEW_MAX
    assert set(honest) <= set(book.get_candidates(addresses.NEW_MAX))


def test_one_source_adds_only_so_much() -> None:
    """One peer's addresses are bounded, whatever their ranges."""
    book = AddressBook(OWN)
    book.add(
        (build_address(number, f"{number % 200 + 1}.{number // 200}.0.1") for number in range(1, 5000)), OWN
    )
    assert len(book) == addresses.PER_SOURCE_MAX


def test_what_was_reached_is_not_replaced_by_what_is_told() -> None:
    """An address heard of a reached peer changes nothing; only reached addresses are shared."""
    book = AddressBook(OWN)
    book.mark_reached(build_address(1, "10.0.0.1"))
    book.add([build_address(1, "66.6.6.6"), build_address(2)])
    assert book.sample_reached(10) == (build_address(1, "10.0.0.1"),)
    assert len(book) == 2


def test_failures_forget() -> None:
    """An address that fails often in a row is dropped; success in between clears the count."""
    book = AddressBook(OWN)
    peer = parse_address(build_address(1)).peer
    for _ in range(3):
        book.mark_reached(build_address(1))
        for _ in range(addresses.FAILURES_MAX - 1):
            book.mark_failed(peer)
        book.mark_reached(build_address(1))
    assert len(book) == 1
    for _ in range(addresses.FAILURES_MAX):
        book.mark_failed(peer)
    assert len(book) == 0


def test_the_book_survives_its_file_and_forgives_others() -> None:
    """A saved book is loaded; a damaged file leaves the book usable."""
    book = AddressBook(OWN)
    book.add([build_address(1), build_address(2)])
    book.mark_reached(build_address(3))
    other = AddressBook(OWN)
    other.load(book.encode())
    assert other.encode() == book.encode()
    for data in (b"", b"\x92\x91\xa1x\x90", bytes(100), book.encode()[:-1]):
        AddressBook(OWN).load(data)


TELLER = "93.184.216.34"


@pytest.mark.parametrize(
    ("told", "teller", "is_taken"),
    [
        ("8.8.8.8", TELLER, True),
        ("8.8.8.8", "10.0.0.1", True),
        ("10.0.0.2", "10.0.0.1", True),
        ("127.0.0.1", "127.0.0.5", True),
        ("2001:4860:4860::8888", TELLER, True),
        ("10.0.0.2", TELLER, False),
        ("192.168.1.1", TELLER, False),
        ("169.254.169.254", TELLER, False),
        ("127.0.0.1", TELLER, False),
        ("127.0.0.1", "10.0.0.1", False),
        ("::1", TELLER, False),
        ("0.0.0.0", "127.0.0.1", False),
        ("224.0.0.1", TELLER, False),
        ("intranet.example", TELLER, False),
    ],
)
def test_a_stranger_cannot_make_the_node_dial_where_it_could_not(
    told: str, teller: str, is_taken: bool
) -> None:
    """Loopback is told on loopback only, private addresses on private networks only, names never."""
    book = AddressBook(OWN)
    book.hear([build_address(1, told)], OWN, teller)
    assert len(book) == is_taken


def test_what_cannot_be_used_is_passed_over() -> None:
    """A list with transports that this node does not speak is used as far as it can be."""
    book, good = AddressBook(OWN), build_address(2, "8.8.8.8")
    quic = build_address(1, "8.8.4.4").replace("/tcp/", "/udp/").replace("/p2p/", "/quic-v1/p2p/")
    book.hear([quic, "junk", good], OWN, TELLER)
    assert book.get_candidates(9) == (good,)


def test_nobody_replaces_the_address_of_another() -> None:
    """An address that one peer told is changed by that peer or by its owner, and by no third one."""
    book, owner = AddressBook(OWN), parse_address(build_address(1)).peer
    first, second, third = (build_address(1, f"8.8.8.{number}") for number in range(1, 4))
    book.hear([first], b"teller", TELLER)
    book.hear([second], b"other", TELLER)
    assert book.get_candidates(9) == (first,)
    book.hear([second], b"teller", TELLER)
    assert book.get_candidates(9) == (second,)
    book.hear([third], owner, TELLER)
    assert book.get_candidates(9) == (third,)


def test_an_invented_address_is_dialled_few_times() -> None:
    """An address that was never reached is forgotten sooner than one that was."""
    book = AddressBook(OWN)
    book.hear([build_address(1, "8.8.8.8")], OWN, TELLER)
    for _ in range(addresses.UNTRIED_FAILURES_MAX):
        assert len(book) == 1
        book.mark_failed(parse_address(build_address(1)).peer)
    assert len(book) == 0


def test_ranges() -> None:
    """IPv4 by /16, IPv6 by /32, names by themselves."""
    assert compute_range(PeerAddress("10.1.2.3", 1, OWN)) == "10.1.0.0/16"
    assert compute_range(PeerAddress("2001:db8:1::1", 1, OWN)) == "2001:db8::/32"
    assert compute_range(PeerAddress("a.example", 1, OWN)) == "a.example"
