"""The part of `run.py` for streams in a Redis: what an item costs this process and the Redis, beside `redis-benchmark`'s bare XADD to the
same Redis in the same run.

CPU time is of the process, all its threads; of the Redis, what INFO says it used. The Redis keeps nothing on disk: what a disk costs is the disk's.
"""
import contextlib, json, os, pathlib, shutil, signal, socket, statistics, subprocess, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / ".build/release/RedisStreams"
ITEM = "fifty bytes, as many as a token's event often has."


def missing():
    if not BINARY.exists():
        return "RedisStreams is not built (make bench)"
    return None if shutil.which("redis-server") and shutil.which("redis-benchmark") else "redis-server is not installed (apt: redis-server)"


@contextlib.contextmanager
def redis(*options):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="weir-redis-") as folder:
        process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, *options],
                                   stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 30
            while not ask(port, "PING").startswith("PONG"):
                if time.monotonic() > end:
                    raise RuntimeError("redis-server did not answer")
                time.sleep(0.02)
            yield port
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def ask(port, *words):
    return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True).stdout


def used(port):
    lines = dict(line.split(":", 1) for line in ask(port, "INFO", "cpu").splitlines() if ":" in line)
    return float(lines["used_cpu_user"]) + float(lines["used_cpu_sys"])


def ours(port, what, *arguments):
    before = used(port)
    done = subprocess.run([BINARY, what, f"redis://127.0.0.1:{port}", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"RedisStreams {what}: {done.stdout}{done.stderr}")
    result = json.loads(done.stdout.splitlines()[0])
    return {**result, "redis_us": (used(port) - before) * 1e6 / result["items"]}


def bare(port, count, clients, pipeline=1):
    """XADD of the same item by redis-benchmark: its own CPU, the Redis's, and how many a second."""
    before, start, begun = used(port), os.times(), time.monotonic()
    subprocess.run(["redis-benchmark", "-p", str(port), "-q", "-n", str(count), "-c", str(clients), "-P", str(pipeline), "XADD", "bare", "*", "d", ITEM],
                   check=True, capture_output=True)
    spent, took = os.times(), time.monotonic() - begun
    own = spent.children_user + spent.children_system - start.children_user - start.children_system
    return {"items": count, "cpu_us": own * 1e6 / count, "per_s": count / took, "redis_us": (used(port) - before) * 1e6 / count}


def run(rounds, quick):
    if missing():
        return print(f"left out: {missing()}")
    count = 20_000 if quick else 200_000
    rows = {}
    wakes = []
    with redis() as port:
        for number in range(1 if quick else rounds):
            for name, result in (
                    ("append, 1 writer", lambda: ours(port, "append", f"one/{number}", count // 10, 1)),
                    ("XADD, 1 client", lambda: bare(port, count // 10, 1)),
                    ("append, 64 writers of one stream", lambda: ours(port, "append", f"many/{number}", count, 64)),
                    ("XADD, 64 clients", lambda: bare(port, count, 64)),
                    ("XADD, 64 at once on one connection", lambda: bare(port, count, 1, 64)),
                    ("read, 64 KiB at a time", lambda: ours(port, "read", f"many/{number}"))):
                rows.setdefault(name, []).append(result())
            wakes.append(ours(port, "wake", f"wake/{number}", 2000))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n## Streams in a Redis (load average {load})\n")
    print("| items of 50 bytes | µs CPU an item, client | µs CPU an item, Redis | items a second |\n| --- | ---: | ---: | ---: |")
    for name, results in rows.items():
        values = [statistics.median(r[key] for r in results) for key in ("cpu_us", "redis_us", "per_s")]
        print(f"| {name} | {values[0]:.2f} | {values[1]:.2f} | {values[2]:.0f} |")
    print(f"\nFrom an append to its reader, who waits: {statistics.median(w['p50_us'] for w in wakes):.0f} µs median, "
          f"{statistics.median(w['p99_us'] for w in wakes):.0f} µs p99.")
