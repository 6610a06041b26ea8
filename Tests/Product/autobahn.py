"""Autobahn's test suite against both ends of our WebSocket: its fuzzing client talks to an echo server of ours, its
fuzzing server to a client of ours that echoes.

    python3 Tests/Product/autobahn.py [PATTERN ...]     cases 1-13, or those; writes the table into docs/websocket.md when all ran

The suite is PyPI's autobahntestsuite, which is Python 2.7 code: `scripts/peers` puts it into .build/autobahn.
"""
import collections, json, os, pathlib, re, signal, socket, subprocess, sys, tempfile, time

from harness import ROOT, free_port, until

WSTEST = ROOT / ".build/autobahn/bin/wstest"
GOOD = {"OK", "INFORMATIONAL", "NON-STRICT"}
GROUPS = {
    1: "framing", 2: "pings and pongs", 3: "reserved bits", 4: "opcodes", 5: "fragmentation", 6: "UTF-8", 7: "close handshake",
    9: "limits and speed", 10: "fragments of one frame", 12: "permessage-deflate", 13: "permessage-deflate, negotiated",
}


def missing():
    """Why it cannot run, or None."""
    if not WSTEST.exists():
        return "Autobahn is not installed (scripts/peers puts it into .build/autobahn; it needs a Python 2.7)"
    if not peer().exists():
        return f"{peer()} is not built"
    return None


def peer():
    return pathlib.Path(os.environ.get("WEIR_WEBSOCKET_PEER", ROOT / ".build/debug/WebSocketPeer"))


class Running:
    """A process that listens on a port, and is ended with the block."""

    def __init__(self, port, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port = port

    def __enter__(self):
        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        until(listens, f"port {self.port}")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def as_server(cases, seconds):
    """Our server under Autobahn's fuzzing client: {case: (behavior, behaviorClose)}."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="weir-autobahn-") as folder, Running(port, peer(), "server", port):
        spec = pathlib.Path(folder) / "spec.json"
        spec.write_text(json.dumps({
            "outdir": f"{folder}/report", "servers": [{"agent": "weir", "url": f"ws://127.0.0.1:{port}"}], "cases": cases,
            "exclude-cases": [], "exclude-agent-cases": {}}))
        subprocess.run([str(WSTEST), "-m", "fuzzingclient", "-s", str(spec)], check=True, timeout=seconds, capture_output=True)
        return read(folder)


def as_client(cases, seconds):
    """Our client at Autobahn's fuzzing server."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="weir-autobahn-") as folder:
        spec = pathlib.Path(folder) / "spec.json"
        spec.write_text(json.dumps({
            "url": f"ws://127.0.0.1:{port}", "outdir": f"{folder}/report", "cases": cases, "exclude-cases": [],
            "exclude-agent-cases": {}}))
        with Running(port, WSTEST, "-m", "fuzzingserver", "-s", spec, "-u", "0"):
            subprocess.run([str(peer()), "client", f"ws://127.0.0.1:{port}", "weir"], check=True, timeout=seconds)
            return read(folder)


def read(folder):
    index = json.loads(pathlib.Path(folder, "report/index.json").read_text())["weir"]
    return {case: (result["behavior"], result["behaviorClose"]) for case, result in index.items()}


def bad(results):
    return {case: result for case, result in results.items() if not GOOD >= set(result)}


def table(server, client):
    """Markdown: a row for each group of cases, a column for each end."""
    def cell(results, group):
        counts = collections.Counter(b for case, (b, _) in results.items() if int(case.split(".")[0]) == group)
        return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda pair: pair[0] != "OK"))
    rows = [f"| {group} | {name} | {cell(server, group)} | {cell(client, group)} |" for group, name in GROUPS.items()]
    return "\n".join(["| cases | about | as server | as client |", "|---|---|---|---|", *rows])


def main(patterns):
    why = missing()
    if why:
        sys.exit(f"weir: {why}")
    start = time.monotonic()
    server, client = {}, {}
    # Group by group, so that one sees how far it is: the last two take most of the time.
    for pattern in patterns or [f"{group}.*" for group in GROUPS]:
        server.update(as_server([pattern], 3600))
        client.update(as_client([pattern], 3600))
        print(f"{pattern}: {len(server)} cases so far, {len(bad(server)) + len(bad(client))} failed, {time.monotonic() - start:.0f} s", flush=True)
    print(table(server, client))
    failed = {**{f"server {k}": v for k, v in bad(server).items()}, **{f"client {k}": v for k, v in bad(client).items()}}
    for case, result in sorted(failed.items()):
        print("FAILED", case, *result)
    print(f"{len(server)} cases as server, {len(client)} as client, {len(failed)} failed, {time.monotonic() - start:.0f} s")
    if not patterns and not failed:
        page = ROOT / "docs/websocket.md"
        text = page.read_text()
        page.write_text(re.sub(
            r"(<!-- autobahn -->\n).*?(<!-- /autobahn -->)", lambda m: f"{m[1]}\n{table(server, client)}\n\n{m[2]}", text, flags=re.S))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
