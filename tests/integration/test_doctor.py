"""What `iotcore doctor` sees, and what it says to do."""
import datetime
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import make_certificate
from server import BINARY, Server


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="iotcore-doctor-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def doctor(self, *options, data_dir=None, limit=None):
        faces = [option for face in ("mqtts", "https", "admin") for option in ("--set", f"listen.{face}=127.0.0.1:0")]
        done = subprocess.run(
            [BINARY, "doctor", "--data-dir", data_dir or self.folder, *faces, *options], capture_output=True, text=True, timeout=60,
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))) if limit else None,
        )
        return done.returncode, done.stdout + done.stderr

    def test_a_server_that_is_well(self):
        server = Server()
        self.addCleanup(server.close)
        code, out = self.doctor(data_dir=server.data_dir)
        self.assertEqual(code, 0, out)
        for line in ("ok     the configuration is valid", "ok     the server answers on its API", "ca.pem is valid for another", "server.pem is valid for another",
                     "a synced write to data_dir takes", "keys can be read by nobody else", "open files are allowed", "MiB of memory"):
            self.assertIn(line, out)
        self.assertNotIn("BAD", out)

    def test_keys_that_others_can_read(self):
        server = Server()
        self.addCleanup(server.close)
        os.chmod(server.path("credentials"), 0o644)
        code, out = self.doctor(data_dir=server.data_dir)
        self.assertEqual(code, 1)
        self.assertIn("BAD", out)
        self.assertIn(f"chmod 600 {server.path('credentials')}", out)

    def test_ports_that_are_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            code, out = self.doctor("--set", f"listen.mqtts=127.0.0.1:{port}")
        self.assertEqual(code, 1)
        self.assertIn(f"BAD    listen.mqtts 127.0.0.1:{port}: another process has it", out)
        code, out = self.doctor("--set", f"listen.mqtts=127.0.0.1:{port}")
        self.assertEqual(code, 0, out)
        self.assertIn(f"ok     listen.mqtts 127.0.0.1:{port} is free", out)
        self.assertIn("does not have the address", self.doctor("--set", "listen.mqtts=192.0.2.1:8883")[1])

    def test_certificates(self):
        certificate, key = make_certificate(self.folder, "127.0.0.1")
        code, out = self.doctor("--set", f"tls.certificate_file={certificate}", "--set", f"tls.key_file={key}")
        self.assertIn(f"{certificate} is valid for another", out)
        soon = os.path.join(self.folder, "soon.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", soon,
                        "-subj", "/CN=localhost", "-days", "5"], check=True, capture_output=True)
        code, out = self.doctor("--set", f"tls.certificate_file={soon}", "--set", f"tls.key_file={key}")
        self.assertIn("soon.pem is valid for another 4 days: renew it", out)
        code, out = self.doctor("--set", "tls.certificate_file=/nowhere/cert.pem", "--set", f"tls.key_file={key}")
        self.assertEqual(code, 1)
        self.assertIn("BAD    /nowhere/cert.pem, which the configuration names, is not there", out)

    def test_an_expired_certificate(self):
        past = os.path.join(self.folder, "server.pem")
        now = datetime.datetime.utcnow()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        made = x509.CertificateBuilder(name, name, key.public_key(), 7, now - datetime.timedelta(days=9), now - datetime.timedelta(days=2)).sign(key, hashes.SHA256())
        with open(past, "wb") as file:
            file.write(made.public_bytes(serialization.Encoding.PEM))
        code, out = self.doctor()
        self.assertEqual(code, 1)
        self.assertIn(f"BAD    {past} has expired", out)

    def test_limits_and_what_is_advised(self):
        code, out = self.doctor("--set", "store.durability=memory", limit=1000)
        self.assertEqual(code, 0, out)
        self.assertIn("advice 1000 open files are allowed", out)
        self.assertIn("advice store.durability is memory", out)
        code, out = self.doctor("--set", "mqtt.memory_bytes_max=4096g")
        self.assertEqual(code, 1)
        self.assertIn("BAD    mqtt.memory_bytes_max and store.cache_bytes are", out)
        self.assertIn("listen.admin answers without credentials", self.doctor("--set", "listen.admin=0.0.0.0:0")[1])

    def test_a_folder_that_is_not_there_and_a_wrong_configuration(self):
        code, out = self.doctor(data_dir=os.path.join(self.folder, "new"))
        self.assertEqual(code, 0, out)
        self.assertIn("the first start makes it", out)
        code, out = self.doctor("--set", "log.level=loud")
        self.assertEqual(code, 2)
        self.assertIn("log.level", out)


if __name__ == "__main__":
    unittest.main()
