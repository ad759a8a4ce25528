"""A TCP proxy on loopback in front of one shard that does to connections what networks do to them."""
import collections
import random
import select
import socket
import struct
import threading
import time

CHUNK = 65536
MAX_WAITING = 1 << 20
INTERRUPTIONS = ("cut", "reset", "half-close", "hole-one-way", "hole-both-ways")
KINDS = INTERRUPTIONS + ("delay", "flip")


class Direction:
    """The bytes from one side of a connection to the other."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting, self.n_waiting = collections.deque(), 0
        self.held_until = self.delayed_until = self.delay = 0.0
        self.is_flipping = self.has_ended = self.has_told_end = False

    def wants_read(self, now):
        return not self.has_ended and now >= self.held_until and self.n_waiting < MAX_WAITING

    def wants_write(self, now):
        return bool(self.waiting) and now >= self.held_until and self.waiting[0][0] <= now

    def take(self, proxy, now):
        bytes_read = self.source.recv(CHUNK)
        if not bytes_read:
            self.has_ended = True
            return
        if self.is_flipping:
            bytes_read = bytearray(bytes_read)
            bytes_read[proxy.random.randrange(len(bytes_read))] ^= 1 << proxy.random.randrange(8)
            self.is_flipping = False
            proxy.fired["flip"] += 1
        due = now + self.delay if now < self.delayed_until else now
        if self.waiting:
            due = max(due, self.waiting[-1][0])
        if due > now:
            proxy.n_delayed += 1
        self.waiting.append((due, bytes(bytes_read)))
        self.n_waiting += len(bytes_read)

    def give(self):
        due, bytes_left = self.waiting.popleft()
        n = self.sink.send(bytes_left)
        self.n_waiting -= n
        if n < len(bytes_left):
            self.waiting.appendleft((due, bytes_left[n:]))

    def tell_end(self):
        """What came before the end has been given: the other side sees the end too."""
        if self.has_ended and not self.waiting and not self.has_told_end:
            self.has_told_end = True
            self.sink.shutdown(socket.SHUT_WR)


class Connection:
    def __init__(self, near, far):
        self.near, self.far = near, far
        self.directions = (Direction(near, far), Direction(far, near))
        self.is_open = True

    def close(self, is_reset=False):
        for side in (self.near, self.far):
            if is_reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.close()
        self.is_open = False


class Proxy:
    """Listens on a port of its own and forwards to `target`. Everything happens in one thread; strike() may be called from any.

    `fired` counts the faults by kind that hit a connection: a hole only when bytes stood still in it, a delay when bytes
    were late, a flip when a byte was changed. `n_bytes` counts what was forwarded."""

    def __init__(self, target, seed):
        self.target, self.random = target, random.Random(seed)
        self.fired, self.n_delayed, self.n_bytes, self.n_connections = collections.Counter(), 0, 0, 0
        self.connections, self.holes, self.orders = [], [], collections.deque()
        self.lock, self.is_stopping = threading.Lock(), False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.address = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def strike(self, kind, seconds=0.0):
        """Asks for a fault on one connection, for `seconds` where it lasts."""
        with self.lock:
            self.orders.append((kind, seconds))

    def stop(self):
        self.is_stopping = True
        self.thread.join(10)

    # --- faults ----------------------------------------------------------------------------------------------------------

    def _obey(self, kind, seconds, now):
        if not self.connections:
            return
        hit = self.random.choice(self.connections)
        ways = self.random.sample(hit.directions, 2)
        if kind in ("cut", "reset"):
            hit.close(is_reset=kind == "reset")
            self.fired[kind] += 1
        elif kind == "half-close":
            if not ways[0].has_ended:
                ways[0].has_ended = True
                self.fired[kind] += 1
        elif kind in ("hole-one-way", "hole-both-ways"):
            dark = ways if kind == "hole-both-ways" else ways[:1]
            for way in dark:
                way.held_until = now + seconds
            self.holes.append((now + seconds, kind, hit, dark))
        elif kind == "delay":
            for way in ways:
                way.delay, way.delayed_until = self.random.uniform(0.02, 0.3), now + seconds
            self.holes.append((now + seconds, kind, self.n_delayed, ()))
        elif kind == "flip":
            ways[0].is_flipping = True

    def _end_holes(self, now):
        """A hole counts if something stood still in it, a delay if bytes were late meanwhile."""
        for hole in [hole for hole in self.holes if hole[0] <= now]:
            self.holes.remove(hole)
            _, kind, hit, dark = hole
            if kind == "delay":
                self.fired[kind] += self.n_delayed > hit
                continue
            stood = hit.is_open and (any(way.waiting for way in dark) or
                                     select.select([way.source for way in dark], [], [], 0)[0])
            self.fired[kind] += bool(stood)

    # --- forwarding ------------------------------------------------------------------------------------------------------

    def _accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(self.target, 5)
        except OSError:
            near.close()
            return
        for side in (near, far):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            side.setblocking(False)
        self.connections.append(Connection(near, far))
        self.n_connections += 1

    def _forward(self, connection, readable, writable, now):
        try:
            for way in connection.directions:
                if way.source in readable and way.wants_read(now):
                    way.take(self, now)
                if way.sink in writable and way.wants_write(now):
                    before = way.n_waiting
                    way.give()
                    self.n_bytes += before - way.n_waiting
                way.tell_end()
        except BlockingIOError:
            return
        except OSError:
            connection.close()
            return
        if all(way.has_told_end for way in connection.directions):
            connection.close()

    def _turn(self):
        now = time.monotonic()
        with self.lock:
            orders, self.orders = self.orders, collections.deque()
        for order in orders:
            self._obey(*order, now)
            self.connections = [one for one in self.connections if one.is_open]
        self._end_holes(now)
        ways = [way for one in self.connections for way in one.directions]
        readers = [self.listener] + [way.source for way in ways if way.wants_read(now)]
        readable, writable, _ = select.select(readers, [way.sink for way in ways if way.wants_write(now)], [], 0.005)
        readable, writable, now = set(readable), set(writable), time.monotonic()
        if self.listener in readable:
            self._accept()
        for connection in self.connections:
            self._forward(connection, readable, writable, now)
        self.connections = [one for one in self.connections if one.is_open]

    def _run(self):
        while not self.is_stopping:
            self._turn()
        for connection in self.connections:
            connection.close()
        self.listener.close()
