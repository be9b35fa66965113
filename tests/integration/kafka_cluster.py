"""librdkafka's own brokers, which speak no TLS, and what speaks it in front of them: an address of theirs in an answer becomes that of the proxy."""
import ctypes
import os
import shutil
import socket
import ssl
import struct
import tempfile
import threading
import unittest

from certificates import make_certificate, make_client_certificate


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32), ("payload", ctypes.c_void_p),
                ("len", ctypes.c_size_t), ("key", ctypes.c_void_p), ("key_len", ctypes.c_size_t), ("offset", ctypes.c_int64),
                ("private", ctypes.c_void_p)]


def library():
    try:
        lib = ctypes.CDLL("librdkafka.so.1")
    except OSError:
        raise unittest.SkipTest("Debian's package librdkafka1 is not installed")
    for name in ("conf_new", "new", "mock_cluster_new", "topic_partition_list_new", "topic_partition_list_add"):
        getattr(lib, "rd_kafka_" + name).restype = ctypes.c_void_p
    lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    lib.rd_kafka_consumer_poll.restype = ctypes.POINTER(Message)
    return lib


class KafkaCluster:
    def __init__(self, asks=False):
        """`asks`: for the client's certificate, of which `client` has (authority, certificate, key)."""
        self.lib = library()
        self.asks = asks
        self.folder = tempfile.mkdtemp(prefix="iotcore-target-")
        self.certificate, self.key = make_certificate(self.folder, "127.0.0.1")
        if asks:
            self.client = make_client_certificate(self.folder)
        error = ctypes.create_string_buffer(512)
        self.owner = ctypes.c_void_p(self.lib.rd_kafka_new(0, ctypes.c_void_p(self.lib.rd_kafka_conf_new()), error, 512))
        self.cluster = ctypes.c_void_p(self.lib.rd_kafka_mock_cluster_new(self.owner, 1))
        host, port = self.lib.rd_kafka_mock_cluster_bootstraps(self.cluster).decode().rsplit(":", 1)
        self.broker = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, self.key)
        if asks:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(self.client[0])
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(plain,), daemon=True).start()

    def connect(self, plain):
        try:
            front = self.context.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):
            plain.close()
            return
        back = socket.create_connection(self.broker)
        self.connections += [front, back]
        threading.Thread(target=self.answers, args=(back, front), daemon=True).start()
        try:
            while data := front.recv(65536):
                back.sendall(data)
        except OSError:
            pass
        for each in (front, back):
            each.close()

    def answers(self, back, front):
        def whole(count):
            data = b""
            while len(data) < count:
                more = back.recv(count - len(data))
                if not more:
                    raise OSError("the broker has gone")
                data += more
            return data

        try:
            while True:
                length = whole(4)
                frame = whole(struct.unpack(">i", length)[0])
                for host in (b"127.0.0.1", b"localhost"):
                    frame = frame.replace(host + struct.pack(">i", self.broker[1]), host + struct.pack(">i", self.port))
                front.sendall(length + frame)
        except OSError:
            front.close()

    def read(self, topic, timeout_s=60):
        """(key, payload) of the first message of the topic, read past the proxy."""
        conf = ctypes.c_void_p(self.lib.rd_kafka_conf_new())
        error = ctypes.create_string_buffer(512)
        for name, value in (("bootstrap.servers", "%s:%d" % self.broker), ("group.id", "test"), ("auto.offset.reset", "earliest")):
            self.lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), error, ctypes.c_size_t(512))
        consumer = ctypes.c_void_p(self.lib.rd_kafka_new(1, conf, error, 512))
        try:
            topics = ctypes.c_void_p(self.lib.rd_kafka_topic_partition_list_new(1))
            self.lib.rd_kafka_topic_partition_list_add(topics, topic.encode(), ctypes.c_int32(-1))
            self.lib.rd_kafka_subscribe(consumer, topics)
            self.lib.rd_kafka_topic_partition_list_destroy(topics)
            for _ in range(timeout_s * 2):
                message = self.lib.rd_kafka_consumer_poll(consumer, 500)
                if not message:
                    continue
                got = message.contents
                found = None if got.err else (ctypes.string_at(got.key, got.key_len), ctypes.string_at(got.payload, got.len))
                self.lib.rd_kafka_message_destroy(message)
                if found:
                    return found
            raise TimeoutError(f"nothing in {topic}")
        finally:
            self.lib.rd_kafka_consumer_close(consumer)
            self.lib.rd_kafka_destroy(consumer)

    def close(self):
        self.listener.close()
        for each in self.connections:
            each.close()
        self.lib.rd_kafka_mock_cluster_destroy(self.cluster)
        self.lib.rd_kafka_destroy(self.owner)
        shutil.rmtree(self.folder, ignore_errors=True)
