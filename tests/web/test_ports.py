"""Where a process listens."""

import socket
from collections.abc import Iterator

import pytest

from reactor.errors import ConfigurationError, PortInUse
from reactor.web import ports
from reactor.web.ports import open_door


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        yield somebody.getsockname()[1]


async def test_a_port_that_was_chosen_and_is_taken_is_refused_by_name_with_exit_code_1(taken: int) -> None:
    with pytest.raises(PortInUse, match=rf"OPS_PORT={taken} is in use on 127\.0\.0\.1") as refused:
        await open_door("127.0.0.1", taken)
    assert refused.value.exit_code == 1


async def test_without_a_choice_the_next_free_port_is_taken(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "DEFAULT_PORT", taken)
    door = await open_door("127.0.0.1", None)
    try:
        port = door.sockets[0].getsockname()[1]
        assert taken < port < taken + ports.NEXT_PORTS
        assert door.url == f"http://127.0.0.1:{port}"
    finally:
        door.close()


async def test_when_all_of_them_are_taken_it_says_which(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "DEFAULT_PORT", taken)
    monkeypatch.setattr(ports, "NEXT_PORTS", 1)
    with pytest.raises(PortInUse, match=f"no port from {taken} to {taken} is free"):
        await open_door("127.0.0.1", None)


async def test_the_default_port_is_the_documented_one() -> None:
    assert ports.DEFAULT_PORT == 8420


async def test_port_0_is_any_free_one() -> None:
    first, second = await open_door("127.0.0.1", 0), await open_door("127.0.0.1", 0)
    try:
        assert first.url != second.url
        assert ":0" not in first.url.removeprefix("http://127.0.0.1:")
    finally:
        first.close()
        second.close()


async def test_all_addresses_of_a_name_get_one_port() -> None:
    door = await open_door("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in door.sockets}) == 1
        assert door.url.startswith("http://localhost:")
    finally:
        door.close()


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "http://127.0.0.1:"), ("[::1]", "http://[::1]:"), ("::", "http://[::1]:")]
)
async def test_the_address_shown_is_one_a_browser_can_open(host: str, shown: str) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    door = await open_door(host, 0)
    try:
        assert door.url.startswith(shown)
    finally:
        door.close()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-name.invalid"])
async def test_a_host_that_is_not_this_machine_is_wrong_configuration(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"OPS_HOST={host} is no address of this machine"):
        await open_door(host, 0)


async def test_who_is_refused_leaves_nothing_open(taken: int) -> None:
    with pytest.raises(PortInUse):
        await open_door("127.0.0.1", taken)
    with socket.socket() as probe:
        probe.connect(("127.0.0.1", taken))  # still the other's
