"""Twelve peers that have no key of the allow-list, or misuse their connection below the frames. Run as a program:
strange_peers.py SPEC, where SPEC is JSON: addresses, server_key, worker (its key pair), seconds, pace_s, seed.
Prints one line of JSON: what every peer did."""
import collections
import json
import random
import select
import socket
import sys
import threading
import time

import zmq

GREETING = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0"
HUGE = (1 << 32, (1 << 32) + 17, 1 << 63, (1 << 64) - 1)
PATIENCE_S = 0.3


def greeting(mechanism=b"CURVE", is_server=0):
    return GREETING + mechanism.ljust(20, b"\0") + bytes([is_server]) + bytes(31)


def target_of(address):
    host, _, port = address[len("tcp://"):].rpartition(":")
    return host, int(port)


class Attack:
    def __init__(self, spec):
        self.spec, self.random = spec, random.Random(spec["seed"])
        self.context = zmq.Context(1)
        self.counts, self.lock = collections.Counter(), threading.Lock()
        self.end = time.monotonic() + spec["seconds"]
        self.held, self.recorded = [], None

    def count(self, what, n=1):
        with self.lock:
            self.counts[what] += n

    def address(self):
        return self.random.choice(self.spec["addresses"])

    def goes_on(self):
        return time.monotonic() < self.end

    # --- connections without the library -------------------------------------------------------------------------------

    def connect(self):
        """None: the door is shut, or the machine is busy."""
        try:
            one = socket.create_connection(target_of(self.address()), PATIENCE_S)
        except OSError:
            self.count("not let in")
            return None
        self.count("raw connections")
        one.settimeout(PATIENCE_S)
        return one

    def say(self, parts, waits=True):
        """Sends and waits until the other side closes."""
        one = self.connect()
        if one is None:
            return
        with one:
            try:
                for part in parts:
                    one.sendall(part)
                while waits and one.recv(4096):
                    pass
                self.count("closed by the shard", waits)
            except OSError:
                self.count("given up", waits)

    def hold(self, n, first, trickle):
        """n connections that say `first` and then a byte a second, or nothing, for as long as they are let."""
        held = []
        while self.goes_on():
            while len(held) < n and self.goes_on():
                one = self.connect()
                if one is None:
                    break
                try:
                    one.sendall(first)
                    one.setblocking(False)
                    held.append(one)
                except OSError:
                    one.close()
            for one in list(held):
                try:
                    if select.select([one], [], [], 0)[0] and one.recv(4096) == b"":
                        raise ConnectionResetError
                    if trickle:
                        one.send(b"\0")
                except BlockingIOError:
                    pass
                except OSError:
                    self.count("slow ones closed by the shard")
                    one.close()
                    held.remove(one)
            time.sleep(1.0)
        for one in held:
            one.close()

    def loris(self):
        self.hold(10, b"\xff", True)

    def half_greeting(self):
        self.hold(10, greeting()[:32], False)

    def half_handshake(self):
        self.record()
        self.hold(10, b"".join(self.recorded)[:64 + 120], False)

    def announce(self):
        """A frame of 4 GiB and more, before the handshake."""
        size = self.random.choice(HUGE).to_bytes(8, "big")
        self.say([greeting(), bytes([self.random.choice((2, 3, 6))]) + size + b"x" * 1000])

    def plain_bytes(self):
        noise = self.random.randbytes(self.random.randrange(1, 2000))
        self.say([self.random.choice([noise, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + noise, greeting() + noise,
                                      greeting(b"PLAIN") + noise, greeting(b"NULL") + b"\4\x19\5READY" + noise,
                                      b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise])])

    def flood(self):
        """Connections that come and go at once."""
        for _ in range(20):
            self.say([], waits=False)

    def replayed_bytes(self):
        """A whole encrypted conversation of a worker, byte for byte."""
        self.record()
        self.say(self.recorded)

    # --- connections by the library ------------------------------------------------------------------------------------

    def client(self, keys, server_key=None):
        one = self.context.socket(zmq.DEALER)
        one.linger = 0
        if keys is not None:
            one.curve_publickey, one.curve_secretkey = keys
            one.curve_serverkey = (server_key or self.spec["server_key"]).encode()
        return one

    def try_in(self, keys, server_key, what):
        one = self.client(keys, server_key)
        monitor = one.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        one.connect(self.address())
        if monitor.poll(300):
            event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
            self.count(what + (" LET IN" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else " refused"))
        self.count(what)
        one.disable_monitor()
        monitor.close(0)
        one.close(0)

    def stranger(self):
        self.try_in(zmq.curve_keypair(), None, "wrong keys")

    def wrong_server(self):
        self.try_in(tuple(key.encode() for key in self.spec["worker"]), zmq.curve_keypair()[0].decode(), "wrong server keys")

    def plain(self):
        self.try_in(None, None, "plain")

    def tapped(self):
        """A worker's right connection through our hands: (client, near, far, what it has sent), or None."""
        client = self.client(tuple(key.encode() for key in self.spec["worker"]))
        listener = socket.create_server(("127.0.0.1", 0))
        client.connect(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        client.send(b"no frame")
        near = listener.accept()[0]
        listener.close()
        far = self.connect()
        sent, end = [], time.monotonic() + 2
        while far is not None and time.monotonic() < end:
            for side in select.select([near, far], [], [], 0.05)[0]:
                came = side.recv(65536)
                (far if side is near else near).sendall(came)
                if side is near and came:
                    sent.append(came)
            if client.poll(0):
                self.count("own connections")
                return client, near, far, sent
        for one in filter(None, (near, far)):
            one.close()
        client.close(0)
        return None

    def record(self):
        with self.lock:
            if self.recorded is not None:
                return
        while self.goes_on():
            taken = self.tapped()
            if taken is not None:
                client, near, far, self.recorded = taken
                near.close()
                far.close()
                client.close(0)
                return
            time.sleep(0.1)

    def announce_inside(self):
        """The same from a peer that has passed the handshake."""
        taken = self.tapped()
        if taken is None:
            return
        client, near, far, _ = taken
        with near, far:
            try:
                far.sendall(bytes([2]) + self.random.choice(HUGE).to_bytes(8, "big") + b"x" * 1000)
                while far.recv(4096):
                    pass
                self.count("announcements inside, closed by the shard")
            except OSError:
                self.count("announcements inside, given up")
        client.close(0)

    # -------------------------------------------------------------------------------------------------------------------

    def repeat(self, act, pace):
        def run():
            try:
                while self.goes_on():
                    act()
                    time.sleep(pace * self.random.uniform(0.5, 1.5))
            except OSError as error:
                self.count(f"{act.__name__}: {error}")
        return run

    def run(self):
        pace = self.spec["pace_s"]
        steady = [self.announce, self.plain_bytes, self.replayed_bytes, self.announce_inside, self.stranger, self.wrong_server,
                  self.plain, self.stranger]
        peers = [self.loris, self.half_greeting, self.half_handshake, self.repeat(self.flood, 2 * pace)]
        peers += [self.repeat(act, pace) for act in steady]
        threads = [threading.Thread(target=peer, daemon=True) for peer in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.spec["seconds"] + 10)
        print(json.dumps(self.counts))


if __name__ == "__main__":
    Attack(json.loads(sys.argv[1])).run()
