"""The WebSocket part of `run.py`: one load (our client) against echo servers that take turns: ours, PyPI's `websockets`, Node's
`ws`. Round trips one at a time, and messages with 64 under way; small and 64 KB, with and without permessage-deflate.

    python3 Benchmarks/websocket.py [--quick]        needs .build/release/WebSocketPeer (swift build -c release --product WebSocketPeer)
"""
import os, pathlib, shutil, socket, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER = ROOT / ".build/release/WebSocketPeer"
PYTHON = ROOT / ".build/peers/bin/python"
ROUNDS = 3

IN_PYTHON = """
import asyncio, sys
from websockets.asyncio.server import serve
async def echo(ws):
    async for message in ws:
        await ws.send(message)
async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), compression=None if sys.argv[2] == "plain" else "deflate", max_size=2**26, ping_interval=None):
        await asyncio.Future()
asyncio.run(main())
"""
IN_NODE = """
const {WebSocketServer} = require('ws')
new WebSocketServer({host: '127.0.0.1', port: +process.argv[1], perMessageDeflate: process.argv[2] !== 'plain'})
  .on('connection', ws => ws.on('message', (data, binary) => ws.send(data, {binary})))
"""
CASES = [  # name, bytes, messages, under way
    ("round trips of 32 bytes", 32, 20_000, 1), ("32 bytes, 64 under way", 32, 100_000, 64),
    ("round trips of 64 KB", 65_536, 1_500, 1), ("64 KB, 64 under way", 65_536, 3_000, 64),
]


def servers():
    found = {"weir": [str(PEER), "server", "PORT", "MODE"]}
    if subprocess.run([str(PYTHON), "-c", "import websockets.asyncio"], capture_output=True).returncode == 0:
        found["websockets"] = [str(PYTHON), "-c", IN_PYTHON, "PORT", "MODE"]
    if shutil.which("node") and subprocess.run(["node", "-e", "require('ws')"], env=NODE, capture_output=True).returncode == 0:
        found["node ws"] = ["node", "-e", IN_NODE, "PORT", "MODE"]
    return found


NODE = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}


def cpu_seconds(pid):
    """Of all its threads, exact: /proc/PID/stat counts in ticks of 10 ms."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def measure(command, mode, size, count, depth):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [part.replace("PORT", str(port)).replace("MODE", mode) for part in command]
    server = subprocess.Popen(["taskset", "-c", "0", *command], env=NODE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        before = cpu_seconds(server.pid)
        load = ["taskset", "-c", "1", str(PEER), "bench", f"ws://127.0.0.1:{port}/", str(size), str(count), str(depth), mode]
        rate = float(subprocess.run(load, capture_output=True, text=True, check=True, timeout=300).stdout)
        return rate, (cpu_seconds(server.pid) - before) / count * 1e6
    finally:
        server.terminate()
        server.wait()


def run(quick=False, rounds=ROUNDS):
    if not PEER.exists():
        return print("\nleft out: no WebSocketPeer beside weir (make bench builds it)")
    found = servers()
    print(f"\n## WebSocket echo, medians of {rounds} (load average {os.getloadavg()[0]:.1f})\n")
    print("| WebSocket echo | " + " | ".join(f"{name}: a second (server CPU µs)" for name in found) + " | CPU: websockets ÷ weir |")
    print("|---|" + "---:|" * (len(found) + 1))
    for mode in ("plain", "deflate"):
        for name, size, count, depth in CASES:
            if mode == "deflate" and size > 1000:
                count //= 3
            if quick:
                count = max(200, count // 10)
            results = {server: [] for server in found}
            for _ in range(1 if quick else rounds):
                for server, command in found.items():
                    results[server].append(measure(command, mode, size, count, depth))
            rate = {server: statistics.median(r for r, _ in values) for server, values in results.items()}
            cpu = {server: statistics.median(c for _, c in values) for server, values in results.items()}
            # Of the server's CPU: both servers have the same client, and that may be what a rate is limited by.
            ratio = f"{cpu['websockets'] / cpu['weir']:.1f}" if "websockets" in cpu else ""
            row = " | ".join(f"{rate[server]:,.0f} ({cpu[server]:.1f})" for server in found)
            print(f"| {name}{', deflate' if mode == 'deflate' else ''} | {row} | {ratio} |", flush=True)


if __name__ == "__main__":
    run("--quick" in sys.argv)
