"""What durable streams cost: memory and files, beside a bare fdatasync and Redis with an append-only file that is synchronised always.

`DurableBenchmark` measures in a folder on the disk of the checkout, a line of JSON for each number; the store and the disk take turns in one
process, and Redis follows in the same run, with its file on the same disk. awaitly's costs are the ones it publishes, measured on Node 22.
"""
import json, os, pathlib, shutil, socket, statistics, subprocess, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCHMARK = pathlib.Path(os.environ.get("WEIR_DURABLE_BENCHMARK", ROOT / ".build/release/DurableBenchmark"))
AWAITLY = {"write_us": 0.88, "read_us": 0.14}
QUICK = ["memory", "synced", "live", "resume"]
ALL = ["memory", "relaxed", "synced", "streams", "live", "resume", "replay"]


def measure(parts):
    """What the lines of DurableBenchmark say, in a folder that goes afterwards."""
    (ROOT / ".build").mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(prefix="durable-", dir=ROOT / ".build")
    try:
        lines = []
        for arguments in [parts] + [["reopen"]] * 5:  # a process each: what was opened once is in its memory
            done = subprocess.run([str(BENCHMARK), folder, *arguments], capture_output=True, text=True, timeout=900)
            if done.returncode:
                raise RuntimeError(f"DurableBenchmark: {done.stdout[-300:]} {done.stderr}")
            lines += done.stdout.splitlines()
        return [json.loads(line) for line in lines]
    finally:
        shutil.rmtree(folder)


def redis():
    """XADD of the same 40 bytes by 1 and by 64 clients, `appendfsync always`; requests a second. None without Redis."""
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        return None
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="redis-", dir=ROOT / ".build")
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
                              stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        numbers = {}
        for clients, count in ((1, 500), (64, 20_000)):
            done = subprocess.run(["redis-benchmark", "-p", str(port), "-q", "-c", str(clients), "-n", str(count), "XADD", "s", "*", "d", "a" * 40],
                                  capture_output=True, text=True, check=True, timeout=300)
            numbers[clients] = float(done.stdout.replace("\r", "\n").strip().split("\n")[-1].split(":")[-1].split()[0])
        return numbers
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder)


def durable(rounds, quick):
    parts = QUICK if quick else ALL
    rows, peers = {}, []
    for _ in range(1 if quick else rounds):
        for result in measure(parts):
            key = (result.pop("what"), result.pop("depth", None), result.pop("length", None))
            rows.setdefault(key, []).append(result)
        peers.append(redis())
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n## Durable streams (load average {load})\n")
    print("| what | under way | length | |\n| --- | ---: | ---: | --- |")
    for (what, depth, length), results in rows.items():
        numbers = ", ".join(f"{key} {statistics.median(r[key] for r in results):,.3g}".replace("_", " ") if statistics.median(r[key] for r in results) < 1000
                            else f"{key} {statistics.median(r[key] for r in results):,.0f}".replace("_", " ") for key in results[0])
        print(f"| {what} | {depth and int(depth) or ''} | {length and f'{int(length):,}' or ''} | {numbers} |")
    print(f"| awaitly's memory store, Node 22, as published | | | write us {AWAITLY['write_us']}, read us {AWAITLY['read_us']} |")
    if all(peers):
        for clients in (1, 64):
            print(f"| Redis XADD, appendfsync always, {clients} clients | | | per second {statistics.median(p[clients] for p in peers):,.0f} |")
    else:
        print("\nleft out: redis-server is not installed")
