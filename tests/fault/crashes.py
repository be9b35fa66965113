"""What the kill tests share: rounds at random points that a seed repeats, and a server that is killed while it works."""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from server import SANITIZED, Server, Subscriber, wait_until  # noqa: E402,F401

SLOW_START_S = 1.5  # from here on it is a sanitized build or a drowned machine


class Crashes:
    """ROUNDS and SEED from the environment; fewer rounds where a start is slow."""

    def __init__(self, rounds, settings=()):
        self.seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
        self.random = random.Random(self.seed)
        self.server = Server(settings=settings, start=False)
        before = time.monotonic()
        self.server.start()
        self.start_s = time.monotonic() - before
        self.slow = self.start_s > SLOW_START_S
        self.rounds = int(os.environ.get("ROUNDS", rounds if not self.slow else min(rounds, 10)))
        print(f"SEED={self.seed} ROUNDS={self.rounds}", file=sys.stderr, flush=True)

    def kill_in(self, low_s, high_s):
        """Kills at a random moment of that span, on a thread of its own; join it."""
        delay = self.random.uniform(low_s, high_s) * (5 if self.slow else 1)

        def run():
            time.sleep(delay)
            self.server.kill()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def restart(self, disturbed=False):
        """`disturbed`: killed once more before it is ready, perhaps while it recovers."""
        if disturbed:
            self.server.start(wait=False)
            time.sleep(self.random.uniform(0, self.start_s))
            self.server.kill()
        self.server.start()
