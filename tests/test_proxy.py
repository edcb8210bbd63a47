"""The proxy does to connections what its switches say, seen from a client and from a server that echoes."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.proxy import Proxy

PATIENCE = 10.0


class Echo:
    """Answers each message with the same; notes what came and how each connection ended."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.received = bytearray()
        self.endings: list[str] = []
        self.present: list[socket.socket] = []
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self.answer, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def answer(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self.present.append(connection)
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received += data
                    connection.sendall(data)
                self.endings.append("closed")
            except ConnectionResetError:
                self.endings.append("reset")
            except TimeoutError:
                self.endings.append("silent")

    def close(self) -> None:
        with suppress(OSError):  # it was closed before
            self.listener.shutdown(socket.SHUT_RDWR)  # which ends accept; close alone does not
        self.listener.close()
        for thread in self.threads:
            thread.join(2 * PATIENCE)


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo.port) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy: Proxy) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


Connect = Callable[[], socket.socket]


def say(client: socket.socket, message: bytes) -> bytes:
    client.sendall(message)
    return hear(client, len(message))


def hear(client: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size and (data := client.recv(size - len(heard))):
        heard += data
    return heard


def silent(client: socket.socket, seconds: float = 0.15) -> bool:
    """Tell whether nothing comes for so long: no data, no end and no reset."""
    readable, _, _ = select.select([client], [], [], seconds)
    return not readable


def eventually(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_it_forwards_much_both_ways_and_the_end_of_each(connect: Connect, echo: Echo) -> None:
    client = connect()
    message = bytes(range(256)) * 20_000
    sender = threading.Thread(target=client.sendall, args=(message,))
    sender.start()
    assert hear(client, len(message)) == message
    sender.join(PATIENCE)
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert eventually(lambda: echo.endings == ["closed"])


def test_it_counts_connections(connect: Connect, proxy: Proxy) -> None:
    assert proxy.connections == 0
    first, second = connect(), connect()
    say(first, b"a")
    say(second, b"b")
    assert proxy.connections == 2
    first.close()
    assert eventually(lambda: proxy.connections == 1)


def test_a_pause_forwards_nothing_and_loses_nothing(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client = connect()
    assert say(client, b"before") == b"before"
    proxy.pause()
    client.sendall(b"during")
    late = connect()
    late.sendall(b"late")
    assert silent(client)
    assert silent(late)
    assert echo.received == b"before"
    proxy.resume()
    assert hear(client, 6) == b"during"
    assert hear(late, 4) == b"late"


def test_a_pause_reads_nothing_so_that_the_sender_comes_to_a_stop(connect: Connect, proxy: Proxy) -> None:
    client = connect()
    say(client, b"a")
    proxy.pause()
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(64_000_000))


def test_half_open_connections_stay_and_say_nothing(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client = connect()
    assert say(client, b"before") == b"before"
    proxy.half_open()
    client.sendall(b"lost")
    late = connect()
    late.sendall(b"lost too")
    assert silent(client)
    assert silent(late)
    assert proxy.connections == 2
    assert echo.received == b"before"
    assert echo.endings == []
    proxy.restore()
    client.sendall(b"still lost")
    assert silent(client)
    assert say(connect(), b"after") == b"after"
    assert echo.received == b"beforeafter"


def test_half_open_hides_from_the_client_that_the_server_closed(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client = connect()
    say(client, b"a")
    proxy.half_open()
    echo.present[0].shutdown(socket.SHUT_RDWR)
    assert eventually(lambda: echo.endings == ["closed"])
    assert silent(client)
    client.sendall(b"b")
    assert silent(client)
    assert proxy.connections == 1


def test_half_open_hides_from_the_server_that_the_client_closed(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client = connect()
    say(client, b"a")
    proxy.half_open()
    client.close()
    assert eventually(lambda: proxy.connections == 0)
    assert echo.endings == []
    proxy.restore()
    assert eventually(lambda: echo.endings == ["reset"])


def test_reset_resets_both_sides_and_new_connections_work(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client = connect()
    say(client, b"a")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert eventually(lambda: echo.endings == ["reset"])
    assert proxy.connections == 0
    assert say(connect(), b"b") == b"b"


def test_refuse_refuses_new_connections_and_keeps_the_present_ones(connect: Connect, proxy: Proxy) -> None:
    client = connect()
    say(client, b"a")
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect()
    assert say(client, b"b") == b"b"
    proxy.restore()
    assert say(connect(), b"c") == b"c"


def test_latency_is_added_each_way(connect: Connect, proxy: Proxy) -> None:
    client = connect()
    say(client, b"a")
    proxy.latency(0.1)
    started = time.monotonic()
    say(client, b"b")
    assert 0.2 <= time.monotonic() - started < 2
    proxy.restore()
    started = time.monotonic()
    say(client, b"c")
    assert time.monotonic() - started < 0.2


@pytest.mark.parametrize(
    "parts", [(b"COMMIT",), (b"COM", b"MIT"), (b"UPDATE 1; COMMIT; SELECT",), (bytes(9000), b"COMMIT")]
)
def test_a_cut_comes_after_the_server_got_it_and_before_the_client_hears(
    connect: Connect, proxy: Proxy, echo: Echo, parts: tuple[bytes, ...]
) -> None:
    client, other = connect(), connect()
    assert say(client, b"INSERT") == b"INSERT"
    assert say(other, b"other") == b"other"
    cut = proxy.cut_after(b"COMMIT")
    for part in parts[:-1]:
        assert say(client, part) == part
    client.sendall(parts[-1])
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert cut.wait(PATIENCE)
    assert echo.received == b"INSERTother" + b"".join(parts)
    assert eventually(lambda: echo.endings == ["closed"])
    assert say(other, b"COMMIT") == b"COMMIT"  # once only
    assert say(connect(), b"COMMIT") == b"COMMIT"


def test_what_was_sent_before_a_cut_was_asked_for_does_not_count(connect: Connect, proxy: Proxy) -> None:
    client = connect()
    assert say(client, b"COMMIT") == b"COMMIT"
    cut = proxy.cut_after(b"COMMIT")
    assert say(client, b"SELECT") == b"SELECT"
    assert not cut.is_set()
    proxy.restore()
    assert say(client, b"COMMIT") == b"COMMIT"


def test_a_pattern_is_of_one_connection_and_may_span_its_messages(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client, other = connect(), connect()
    assert say(client, b"DELETE 1") == b"DELETE 1"
    cut = proxy.cut_after(b"DELETE.*COMMIT")
    assert say(other, b"DELETE 2") == b"DELETE 2"
    assert say(client, b"COMMIT") == b"COMMIT"
    assert say(other, b"SELECT\n") == b"SELECT\n"
    other.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        other.recv(1)
    assert cut.wait(PATIENCE)
    assert say(client, b"DELETE COMMIT") == b"DELETE COMMIT"
    assert say(connect(), b"SELECT") == b"SELECT"


def test_a_cut_may_wait_for_a_certain_answer(connect: Connect, proxy: Proxy) -> None:
    client = connect()
    cut = proxy.cut_after(b"DELETE", answer=b"COMMIT")
    assert say(client, b"COMMIT") == b"COMMIT"
    assert say(client, b"DELETE") == b"DELETE"
    assert say(client, b"SELECT") == b"SELECT"
    client.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert cut.wait(PATIENCE)


def test_from_a_cut_on_new_connections_can_be_refused(connect: Connect, proxy: Proxy) -> None:
    client, other = connect(), connect()
    cut = proxy.cut_after(b"COMMIT", refuse=True)
    assert say(connect(), b"SELECT") == b"SELECT"
    client.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert cut.wait(PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        connect()
    assert say(other, b"COMMIT") == b"COMMIT"
    proxy.restore()
    assert say(connect(), b"COMMIT") == b"COMMIT"


def test_connections_are_dropped_after_so_many_bytes(connect: Connect, proxy: Proxy, echo: Echo) -> None:
    client = connect()
    assert say(client, b"before") == b"before"
    proxy.drop_after(10)
    assert say(client, b"1234") == b"1234"
    client.sendall(b"567")
    assert client.recv(1) == b""
    assert eventually(lambda: echo.received == b"before123456")  # the end of the message did not come
    late = connect()
    late.sendall(b"abcdefg")
    assert hear(late, 7) == b"abc"  # nor that of an answer
    assert eventually(lambda: len(echo.endings) == 2)
    assert proxy.dropped == 2
    proxy.restore()
    assert say(connect(), bytes(1000)) == bytes(1000)
    assert proxy.dropped == 2


def test_a_server_that_is_not_there_is_a_reset(connect: Connect, echo: Echo) -> None:
    echo.close()
    with pytest.raises(ConnectionResetError):
        connect().recv(1)  # the reset may come before connect has returned
