"""MQTT 3.1.1 and 5 packet by packet, on any socket: what no library lets a test see or do."""
import socket
import ssl
import struct
import time

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 5, 6, 7, 9, 11, 13, 14

# Property identifiers by kind of value (MQTT5 2.2.2.2).
BYTES = {1: "payload_format", 23: "request_problem", 25: "request_response", 36: "maximum_qos", 37: "retain_available", 40: "wildcard_available",
         41: "subscription_ids_available", 42: "shared_available"}
SHORTS = {19: "server_keep_alive", 33: "receive_maximum", 34: "topic_alias_maximum", 35: "topic_alias"}
WORDS = {2: "message_expiry", 17: "session_expiry", 24: "will_delay", 39: "maximum_packet"}
TEXTS = {3: "content_type", 8: "response_topic", 18: "assigned_client_id", 21: "auth_method", 26: "response_information", 28: "server_reference",
         31: "reason"}
BINARIES = {9: "correlation_data", 22: "auth_data"}
NAMES = {**BYTES, **SHORTS, **WORDS, **TEXTS, **BINARIES, 11: "subscription_id", 38: "user"}
NUMBERS = {name: number for number, name in NAMES.items()}


def varint(value):
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        out.append(digit | (128 if value else 0))
        if not value:
            return bytes(out)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("!H", len(data)) + data


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def properties(values):
    out = b""
    for name, value in values.items():
        number = NUMBERS[name]
        for each in value if isinstance(value, list) else [value]:
            out += bytes([number])
            if number in BYTES:
                out += bytes([each])
            elif number in SHORTS:
                out += struct.pack("!H", each)
            elif number in WORDS:
                out += struct.pack("!I", each)
            elif number == 11:
                out += varint(each)
            elif number == 38:
                out += text(each[0]) + text(each[1])
            else:
                out += text(each)
    return varint(len(out)) + out


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value

    def text(self):
        return self.take(self.number(2))

    def properties(self):
        end = self.varint() + self.at
        out = {}
        while self.at < end:
            number = self.varint()
            name = NAMES[number]
            if number == 38:
                out.setdefault(name, []).append((self.text().decode(), self.text().decode()))
            elif number == 11:
                out.setdefault(name, []).append(self.varint())
            else:
                out[name] = (self.number(1) if number in BYTES else self.number(2) if number in SHORTS else self.number(4) if number in WORDS
                             else self.text().decode() if number in TEXTS else self.text())
        return out


class Packet:
    """kind, flags, and what the kind has: id, reason, reasons, topic, payload, qos, retain, properties."""

    def __init__(self, first, body, version):
        self.kind, self.flags, self.body = first >> 4, first & 15, body
        self.reason, self.properties = 0, {}
        read = Reader(body)
        if self.kind == CONNACK:
            self.session_present, self.reason = bool(read.number(1)), read.number(1)
            self.properties = read.properties() if version == 5 else {}
        elif self.kind == PUBLISH:
            self.qos, self.retain = self.flags >> 1 & 3, bool(self.flags & 1)
            self.topic = read.text().decode()
            self.id = read.number(2) if self.qos else None
            self.properties = read.properties() if version == 5 else {}
            self.payload = body[read.at:]
        elif self.kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.id = read.number(2)
            self.reason = read.number(1) if len(body) > 2 else 0
        elif self.kind in (SUBACK, UNSUBACK):
            self.id = read.number(2)
            self.properties = read.properties() if version == 5 else {}
            self.reasons = list(body[read.at:])
        elif self.kind == DISCONNECT:
            self.reason = read.number(1) if body else 0

    def __repr__(self):
        return f"Packet({self.kind}, {self.flags}, {self.body!r})"


class Client:
    """One connection. Whatever is read is answered as MQTT wants it, unless `acknowledge` is off."""

    def __init__(self, server, client_id="c", version=4, tls=None, face=None, alpn=None, sni="localhost", will=None, clean=True, keep_alive=60,
                 user=None, password=None, connect=True, acknowledge=True, will_properties=None, **connect_properties):
        self.version, self.acknowledge, self.next_id = version, acknowledge, 0
        self.buffer, self.packets, self.closed = b"", [], False
        port = server.port(face or ("mqtts" if tls is not None else "mqtt"))
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            context = ssl.create_default_context(cafile=server.ca)
            context.check_hostname = False
            if tls:
                context.load_cert_chain(tls[0], tls[1])
            if alpn:
                context.set_alpn_protocols([alpn])
            self.socket = context.wrap_socket(self.socket, server_hostname=sni)
        self.connack = None
        if connect:
            self.send(self.connect_packet(client_id, will, clean, keep_alive, user, password, will_properties or {}, connect_properties))
            self.connack = self.receive(CONNACK)

    def connect_packet(self, client_id, will, clean, keep_alive, user, password, will_properties, connect_properties):
        flags = 2 if clean else 0
        body = text(client_id)
        if will:
            topic, payload, qos, retain = (*will, 0, False)[:4] if len(will) < 4 else will
            flags |= 4 | qos << 3 | (32 if retain else 0)
            body += (properties(will_properties) if self.version == 5 else b"") + text(topic) + text(payload)
        if user is not None:
            flags |= 128
            body += text(user)
        if password is not None:
            flags |= 64
            body += text(password)
        head = text("MQTT") + bytes([self.version, flags]) + struct.pack("!H", keep_alive)
        return packet(0x10, head + (properties(connect_properties) if self.version == 5 else b"") + body)

    # -- out --

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True

    def id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def publish(self, topic, payload=b"", qos=0, retain=False, packet_id=None, **values):
        """Sends it; returns the packet's id."""
        packet_id = packet_id or (self.id() if qos else None)
        body = text(topic) + (struct.pack("!H", packet_id) if qos else b"") + (properties(values) if self.version == 5 else b"")
        self.send(packet(0x30 | qos << 1 | (1 if retain else 0), body + (payload if isinstance(payload, bytes) else payload.encode())))
        return packet_id

    def published(self, topic, payload=b"", **options):
        """Publishes at QoS 1; the acknowledgement, or None if the connection ended."""
        self.publish(topic, payload, qos=1, **options)
        return self.receive(PUBACK)

    def subscribe(self, *filters, qos=1, **values):
        """The codes of the SUBACK; None if the connection ended."""
        body = struct.pack("!H", self.id()) + (properties(values) if self.version == 5 else b"")
        self.send(packet(0x82, body + b"".join(text(each) + bytes([qos]) for each in filters)))
        answer = self.receive(SUBACK)
        return answer.reasons if answer else None

    def disconnect(self, reason=0, **values):
        body = bytes([reason]) + properties(values) if self.version == 5 and (reason or values) else b""
        self.send(packet(0xE0, body))
        self.close()

    def reset(self):
        raw = self.socket
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        self.closed = True

    def close(self):
        self.closed = True
        self.socket.close()

    # -- in --

    def _take(self):
        if len(self.buffer) < 2:
            return None
        length, at, more = 0, 1, True
        while more and at < len(self.buffer):
            length |= (self.buffer[at] & 127) << 7 * (at - 1)
            more = self.buffer[at] & 128
            at += 1
        if more or at + length > len(self.buffer):
            return None
        found = Packet(self.buffer[0], self.buffer[at:at + length], self.version)
        self.buffer = self.buffer[at + length:]
        return found

    def _answer(self, got):
        if not self.acknowledge:
            return
        if got.kind == PUBLISH and got.qos:
            self.send(packet(0x40 if got.qos == 1 else 0x50, struct.pack("!H", got.id)))
        elif got.kind == PUBREC:
            self.send(packet(0x62, struct.pack("!H", got.id)))
        elif got.kind == PUBREL:
            self.send(packet(0x70, struct.pack("!H", got.id)))

    def read(self, timeout_s):
        """One more packet, or None: the connection ended, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self._take()
            if found:
                self._answer(found)
                return found
            if self.closed:
                return None
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(65536)
            except (socket.timeout, ssl.SSLWantReadError):
                return None
            except OSError:
                data = b""
            if not data:
                self.closed = True
            self.buffer += data

    def receive(self, kind, timeout_s=20):
        """The next packet of that kind; others before it are kept. None: the connection ended, or the time is over."""
        for index, each in enumerate(self.packets):
            if each.kind == kind:
                return self.packets.pop(index)
        deadline = time.monotonic() + timeout_s
        while True:
            got = self.read(deadline - time.monotonic())
            if got is None or got.kind == kind:
                return got
            self.packets.append(got)

    def messages(self, count, timeout_s=20):
        """The next publishes."""
        found = []
        while len(found) < count:
            got = self.receive(PUBLISH, timeout_s)
            if got is None:
                break
            found.append(got)
        return found

    def quiet(self, seconds=0.3):
        """True if no publish comes; a ping goes there and back before the time counts, so that what is on the way has come."""
        self.send(b"\xc0\x00")
        self.receive(PINGRESP)
        return self.receive(PUBLISH, seconds) is None

    def ended(self, timeout_s=20):
        """The DISCONNECT's reason if one came, True if the connection just ended, None if it has not."""
        deadline = time.monotonic() + timeout_s
        reason = None
        while time.monotonic() < deadline and not self.closed:
            got = self.read(deadline - time.monotonic())
            if got is not None and got.kind == DISCONNECT:
                reason = got.reason
        return (True if reason is None else reason) if self.closed else None


class WebSocket:
    """Frames on the development face's path for MQTT."""
    version = 4

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port("http")), timeout=20)
        self.socket.sendall(b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                            b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise RuntimeError(head)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the connection has ended")
        self.buffer += data

    def send(self, opcode, data):
        """One small frame, masked with zeros."""
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(data)]) + bytes(4) + data)

    def receive(self):
        """(opcode, payload) of the next frame, a small one."""
        while len(self.buffer) < 2 or len(self.buffer) < 2 + self.buffer[1]:
            self._more()
        end = 2 + self.buffer[1]
        frame, self.buffer = self.buffer[:end], self.buffer[end:]
        return frame[0] & 15, frame[2:]

    def close(self):
        self.socket.close()
