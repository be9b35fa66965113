"""Rules that send mail: a stand-in server with STARTTLS and a login, which refuses some receivers."""
import base64
import email
import email.header
import socket
import ssl
import threading
import unittest

from certificates import make_certificate
from sinks import SinkCase


class MailServer:
    def __init__(self, certificate, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.mails = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.refuse_once = True
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        peer.sendall(b"220 test ready\r\n")
        reader = peer.makefile("rb")
        secure = signed_in = False
        receivers = []
        while True:
            line = reader.readline()
            if not line:
                return
            word = line.split()[0].upper() if line.split() else b""
            answer = b"250 ok"
            if word == b"EHLO":
                answer = b"250-test\r\n250 AUTH PLAIN" if secure else b"250-test\r\n250 STARTTLS"
            elif word == b"STARTTLS":
                peer.sendall(b"220 go\r\n")
                peer = self.context.wrap_socket(peer, server_side=True)
                reader = peer.makefile("rb")
                secure = True
                continue
            elif word == b"AUTH":
                signed_in = secure and base64.b64decode(line.split()[2]) == b"\0user\0pass"
                answer = b"235 welcome" if signed_in else b"535 no"
            elif word == b"MAIL":
                receivers = []
                answer = b"250 ok" if signed_in else b"530 sign in"
            elif word == b"RCPT" and b"nobody" in line:
                answer = b"550 no such user"
            elif word == b"RCPT":
                if self.refuse_once:
                    self.refuse_once = False
                    answer = b"451 later"
                else:
                    receivers.append(line.split(b"<")[1].split(b">")[0].decode())
            elif word == b"DATA":
                peer.sendall(b"354 go on\r\n")
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    text += reader.readline()
                self.mails.append((receivers, email.message_from_bytes(text[:-3])))
            elif word == b"QUIT":
                peer.sendall(b"221 bye\r\n")
                return
            peer.sendall(answer + b"\r\n")

    def close(self):
        self.listener.close()


class SmtpSink(SinkCase):
    @classmethod
    def setUpClass(cls):
        cls.start_server()
        certificate, key = make_certificate(cls.server.folder, "127.0.0.1")
        cls.mail = MailServer(certificate, key)
        cls.addClassCleanup(cls.mail.close)
        cls.target = (f"smtp(host = '127.0.0.1', port = {cls.mail.port}, user = 'user', password = 'pass', ca = '{certificate}',"
                      " from = 'plant@example.com')")

    def test_mails_go_out_over_starttls_once_an_interval_and_refusals_fail(self):
        self.apply("mail", f"""
            CREATE TARGET post AS {self.target};
            CREATE RULE mail AS SELECT * FROM 'mail/+'
            DO smtp(target = 'post', to = 'ops@example.com, ${{topic(2)}}@example.com', subject = 'Zu heiß: ${{topic(2)}}', throttle = '1h') WITH (retryMax = 200)
            ON ERROR DO republish(topic = 'failed/mail', qos = 1);
            CREATE RULE mailnobody AS SELECT * FROM 'mail/nobody'
            DO smtp(target = 'post', to = 'nobody@example.com', subject = 's', body = 'b')
            ON ERROR DO republish(topic = 'failed/mail', qos = 1);
        """)
        failed = self.failures("failed/mail")
        for _ in range(3):
            self.publish("mail/m1", {"t": 81})
        self.publish("mail/nobody", {"t": 82})
        self.assertIn(b"550 no such user", failed.wait(1)[0].payload)
        self.wait(lambda: len(self.mail.mails) >= 2, lambda: self.mail.mails)
        receivers, mail = self.mail.mails[0]
        self.assertEqual(receivers, ["ops@example.com", "m1@example.com"])
        self.assertEqual(str(email.header.make_header(email.header.decode_header(mail["Subject"]))), "Zu heiß: m1")
        self.assertEqual(mail.get_payload(decode=True), b'{"t": 81}')
        self.assertEqual([each[0] for each in self.mail.mails], [["ops@example.com", "m1@example.com"], ["ops@example.com"]])

    def test_what_is_wrong_is_told(self):
        self.refused("CREATE TARGET p AS smtp(host = 'h', from = 'nobody');", "is no mail address")
        self.refused("CREATE TARGET p AS smtp(host = 'h', from = 'a@b');\nCREATE RULE r AS SELECT * FROM 'a' DO smtp(target = 'p', to = 'x y@b', subject = 's');",
                     "is no mail address")


if __name__ == "__main__":
    unittest.main(warnings="ignore")
