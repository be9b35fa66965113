"""Clients with a memory of their own: they come back with the state of their session, as the standards say, and know what they were promised."""
import selectors
import socket
import struct

from wire import packet, take_packets, text

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 14


def take_variable(body, at):
    value = shift = 0
    while True:
        digit = body[at]
        at += 1
        value |= (digit & 127) << shift
        shift += 7
        if not digit & 128:
            return value, at


class SessionClient:
    """A persistent session, over as many connections as it takes. `version` 4 or 5."""

    may_be_told_to_go = False  # by DISCONNECT: on a disk that fails

    def __init__(self, client_id, version):
        self.client_id = client_id
        self.version = version
        self.socket = None
        self.connected = False
        self.known = False  # the server has said that it has the session
        self.failures = []

    def connect(self, port):
        self.buffer = bytearray()
        self.connected = False
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        properties = b"\x05\x11" + struct.pack("!I", 86400) if self.version == 5 else b""
        self.send(packet(0x10, text("MQTT") + bytes([self.version, 0]) + struct.pack("!H", 600) + properties + text(self.client_id)))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the next read says so, too

    def send_ack(self, kind, packet_id):
        self.send(bytes([kind << 4 | (2 if kind == PUBREL else 0), 2]) + struct.pack("!H", packet_id))

    def read(self):
        """False when the connection is gone."""
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return False
        self.buffer += data
        for first, body in take_packets(self.buffer):
            if first >> 4 == CONNACK:
                self.on_connack(body)
            elif first >> 4 == DISCONNECT and self.may_be_told_to_go:
                return False
            else:
                self.on_packet(first, body)
        return True

    def on_connack(self, body):
        if body[1] != 0:
            self.failures.append(f"{self.client_id}: CONNACK {body[1]:#x}")
            return
        if self.known and body[0] != 1:
            self.failures.append(f"{self.client_id}: the session was lost")
        self.connected = True
        self.on_connected(body[0] == 1)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class SessionPublisher(SessionClient):
    """Counts up on its own topic, `window` at a time, at QoS 1 or 2; repeats what was not acknowledged."""

    def __init__(self, client_id, version, qos, window):
        super().__init__(client_id, version)
        self.qos = qos
        self.window = window
        self.topic = f"s/{client_id}"
        self.open = {}  # packet id: number, or None once it is released; in the order of sending
        self.sent = 0
        self.packet_id = 0
        self.acknowledged = set()
        self.refused = set()
        self.stopping = False

    def on_connected(self, present):
        self.known = True
        if not present:
            # What was released is the old session's; what was not is sent as new.
            self.open = {i: n for i, n in self.open.items() if n is not None}
        for packet_id, number in self.open.items():
            if number is None:
                self.send_ack(PUBREL, packet_id)
            else:
                self.publish(packet_id, number, 8 if present else 0)
        self.fill()

    def publish(self, packet_id, number, dup=0):
        properties = b"\0" if self.version == 5 else b""
        body = text(self.topic) + struct.pack("!H", packet_id) + properties + self.payload(number)
        self.send(packet(0x30 | self.qos << 1 | dup, body))

    def payload(self, number):
        return b"%d" % number

    def fill(self):
        while self.connected and not self.stopping and len(self.open) < self.window:
            self.packet_id = self.packet_id % 65535 + 1
            self.sent += 1
            self.open[self.packet_id] = self.sent
            self.publish(self.packet_id, self.sent)

    def on_packet(self, first, body):
        kind, (packet_id,) = first >> 4, struct.unpack("!H", body[:2])
        reason = body[2] if len(body) > 2 else 0
        number = self.open.get(packet_id)
        if kind == PUBACK or (kind == PUBREC and reason >= 0x80):
            self.open.pop(packet_id, None)
            (self.refused if reason >= 0x80 else self.acknowledged).add(number)
        elif kind == PUBREC:
            if number is not None:
                self.acknowledged.add(number)
                self.open[packet_id] = None
            self.send_ack(PUBREL, packet_id)
        elif kind == PUBCOMP:
            self.open.pop(packet_id, None)
        else:
            self.failures.append(f"{self.client_id}: unexpected packet {kind}")
        self.fill()

    @property
    def idle(self):
        return self.stopping and not self.open


class SessionSubscriber(SessionClient):
    """Collects (publisher, number) in the order in which they came, at QoS 2 each only once if the server keeps to the standard."""

    def __init__(self, client_id, version, qos):
        super().__init__(client_id, version)
        self.qos = qos
        self.subscribed = False
        self.received_ids = set()
        self.messages = []  # publisher, number, QoS

    def on_connected(self, present):
        self.known = self.known or present
        if not present:
            self.received_ids.clear()
        if not self.subscribed:
            properties = b"\0" if self.version == 5 else b""
            self.send(packet(0x82, b"\0\1" + properties + text("s/#") + bytes([self.qos])))

    def on_packet(self, first, body):
        kind = first >> 4
        if kind == SUBACK:
            self.subscribed = self.known = True
        elif kind == PUBREL:
            packet_id, = struct.unpack("!H", body[:2])
            self.received_ids.discard(packet_id)
            self.send_ack(PUBCOMP, packet_id)
        elif kind == PUBLISH:
            self.on_publish(first, body)
        else:
            self.failures.append(f"{self.client_id}: unexpected packet {kind}")

    def on_publish(self, first, body):
        qos = first >> 1 & 3
        length, = struct.unpack("!H", body[:2])
        publisher, at = body[2:2 + length].decode().split("/")[1], 2 + length
        packet_id, = struct.unpack("!H", body[at:at + 2])
        at += 2
        if self.version == 5:
            length, at = take_variable(body, at)
            at += length
        if qos == 1:
            self.messages.append((publisher, int(body[at:].split()[0]), qos))
            self.send_ack(PUBACK, packet_id)
            return
        if packet_id not in self.received_ids:
            self.received_ids.add(packet_id)
            self.messages.append((publisher, int(body[at:].split()[0]), qos))
        self.send_ack(PUBREC, packet_id)


def run(clients, until):
    """Serves them until they have all lost their connections, or `until()`."""
    with selectors.DefaultSelector() as selector:
        alive = set()
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            alive.add(client)
        while alive and not until():
            for key, _ in selector.select(timeout=0.05):
                if not key.data.read():
                    selector.unregister(key.fileobj)
                    alive.discard(key.data)
    for client in clients:
        client.close()
