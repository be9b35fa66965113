"""MQTT 3.1.1 on bare sockets: fast, and it knows exactly what was sent and what was acknowledged."""
import selectors
import socket
import struct

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9


def text(value):
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def packet(first, body):
    length, head = len(body), bytearray([first])
    while True:
        length, digit = length >> 7, length & 127
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def take_packets(buffer):
    """Takes the whole packets off the front of `buffer`: [(first byte, body)]."""
    found, at = [], 0
    while True:
        length, end, more = 0, at + 1, True
        while more and end < len(buffer):
            length |= (buffer[end] & 127) << 7 * (end - at - 1)
            more = buffer[end] & 128
            end += 1
        if more or end + length > len(buffer):
            del buffer[:at]
            return found
        found.append((buffer[at], bytes(buffer[end:end + length])))
        at = end + length


class Link:
    """A connection, its CONNACK and SUBACK awaited. Afterwards: send(), and receive() for what has arrived."""

    def __init__(self, port, client_id, filters=()):
        self.buffer = bytearray()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(packet(0x10, text("MQTT") + bytes([4, 2]) + struct.pack("!H", 600) + text(client_id)))
        self._await(CONNACK, b"\0\0")
        if filters:
            self.send(packet(0x82, struct.pack("!H", 1) + b"".join(text(each) + b"\1" for each in filters)))
            self._await(SUBACK, struct.pack("!H", 1) + b"\1" * len(filters))

    def _await(self, kind, body):
        arrived = []
        while not arrived:
            arrived = self.receive()
            if arrived is None:
                raise ConnectionError("closed during CONNECT or SUBSCRIBE")
        if arrived[0] != (kind << 4, body):
            raise ConnectionError(f"unexpected {arrived[0]}")

    def send(self, data):
        """False: the server has gone."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def publish(self, topic, payload, packet_id, retain=False):
        return self.send(packet(0x32 | retain, text(topic) + struct.pack("!H", packet_id) + payload))

    def receive(self):
        """Packets, or None at the end."""
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError:
            return None
        if not data:
            return None
        self.buffer += data
        return take_packets(self.buffer)

    def close(self):
        self.socket.close()


class Publisher(Link):
    """Keeps `window` publishes open. `produce()` gives (topic, payload, retain, token); `acknowledged(token)` is told in their order."""

    def __init__(self, port, client_id, window, produce, acknowledged, limit=None):
        super().__init__(port, client_id)
        self.window = window
        self.produce = produce
        self.acknowledged = acknowledged
        self.left = limit
        self.open = {}
        self.packet_id = 0

    @property
    def idle(self):
        return self.left == 0 and not self.open

    def fill(self):
        while len(self.open) < self.window and self.left != 0:
            self.packet_id = self.packet_id % 65535 + 1
            topic, payload, retain, token = self.produce()
            self.open[self.packet_id] = token
            if self.left is not None:
                self.left -= 1
            if not self.publish(topic, payload, self.packet_id, retain):
                return

    def read(self):
        """False at the end."""
        arrived = self.receive()
        if arrived is None:
            return False
        for first, body in arrived:
            assert first >> 4 == PUBACK, f"unexpected packet {first >> 4}"
            self.acknowledged(self.open.pop(struct.unpack("!H", body)[0]))
        return True


def run(publishers, until=lambda: False):
    """Publishes until the server has gone (what it had sent is read to the end), all limits are reached, or `until()`."""
    with selectors.DefaultSelector() as selector:
        waiting = set(publishers)
        for publisher in publishers:
            publisher.fill()
            selector.register(publisher.socket, selectors.EVENT_READ, publisher)
        while waiting and not until():
            for key, _ in selector.select(timeout=0.05):
                publisher = key.data
                alive = publisher.read()
                if alive:
                    publisher.fill()
                if not alive or publisher.idle:
                    selector.unregister(publisher.socket)
                    waiting.discard(publisher)
