#!/usr/bin/env python3
"""Runs the benchmarks and prints one table each: CPU per event first, peers in the same run, medians of several rounds.

    python3 Benchmarks/run.py [start] [language] [sources] [relay] [fanout] [streams] [store] [durable] [redis] [websocket] [ai] [stop] [--rounds N] [--quick]

Everything is on loopback, the server under test on core 0, the load on core 1. Peers that are missing are named and
left out. Needs `make build`, gcc, and for the peers `make peers`.
"""
import argparse, contextlib, json, os, pathlib, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, urllib.request

import ai, durable, language, redis_store, sources, stop, websocket

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = ROOT / ".build/release/weir"
PEERS = ROOT / ".build/peers/bin"
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
SERVER_CPU, LOAD_CPU = "0", "1"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))

APP = """
provider openai { api_key: env("OPENAI_API_KEY"), model: "bench" }
agent Relay { provider: openai, system: "You are a benchmark." }
@post("/relay")
workflow Relayed(message: string) -> stream { return Relay.stream(message) }
"""

def build_tools():
    for name in ("upstream", "relay", "fanout"):
        subprocess.run(["cc", "-O2", "-Wall", "-o", str(WORK / name), str(ROOT / f"Benchmarks/load/{name}.c")], check=True)

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def wait_for(port, process, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"server ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("server did not start listening")

@contextlib.contextmanager
def running(command, port, cpu=SERVER_CPU, env=None, cwd=None):
    log = open(WORK / "server.log", "ab")
    process = subprocess.Popen(["taskset", "-c", cpu, *map(str, command)], stdout=log, stderr=log, cwd=cwd,
                               env={**os.environ, **(env or {})}, start_new_session=True)
    try:
        wait_for(port, process)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

def load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())

def note(what, result):
    print(f"  {what}: {json.dumps(result)}", file=sys.stderr, flush=True)

def measure(tool, *arguments, timeout=200):
    done = subprocess.run(["taskset", "-c", LOAD_CPU, str(WORK / tool), *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr.strip()}")
    return json.loads(done.stdout)

# MARK: servers under test

def stores(name):
    """Where the server under test keeps its streams: `weir` in memory, `weir, files` in a new folder."""
    return ["--store", "memory" if name == "weir" else tempfile.mkdtemp(prefix="streams-", dir=WORK)]

@contextlib.contextmanager
def weir_relay(upstream, name="weir"):
    port = free_port()
    app = WORK / "relay.weir"
    app.write_text(APP)
    env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1", "OPENAI_API_KEY": "bench"}
    with running([WEIR, "serve", "--caps", "all", *stores(name), "--port", port, app], port, env=env) as pid:
        yield port, pid, "/relay", '{"message":"hi %s"}', []

@contextlib.contextmanager
def nginx_relay(upstream):
    port, folder = free_port(), WORK / "nginx"
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 18000; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 1024; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }} }}
""")
    with running([NGINX, "-p", folder, "-c", folder / "nginx.conf"], port) as pid:
        yield port, pid, "/v1/chat/completions", OPENAI_BODY, []

@contextlib.contextmanager
def litellm_relay(upstream):
    port, config = free_port(), WORK / "litellm.yaml"
    config.write_text(f"""
model_list:
  - model_name: bench
    litellm_params: {{ model: openai/bench, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none }}
""")
    env = {"LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": "sk-bench"}
    with running([PEERS / "litellm", "--config", config, "--port", port, "--host", "127.0.0.1"], port, env=env) as pid:
        yield port, pid, "/v1/chat/completions", OPENAI_BODY, ["Authorization: Bearer sk-bench"]

OPENAI_BODY = '{"model":"bench","stream":true,"messages":[{"role":"user","content":"hi %s"}]}'

def present(name):
    if name == "nginx":
        return NGINX is not None
    if name == "nchan":
        return NGINX is not None and os.path.exists(NCHAN)
    if name == "litellm":
        return (PEERS / "litellm").exists()
    return True

RELAYS = {"weir": weir_relay, "weir, files": lambda upstream: weir_relay(upstream, "weir, files"), "nginx": nginx_relay, "litellm": litellm_relay}

def relay(rounds, quick):
    """Paced streams of 50 tokens/s, one request after another (first token), and as fast as it goes."""
    plans = [  # load, streams at once, requests, tokens/s of each stream, tokens
        ("first", 1, 200, 1000, 3),
        ("paced", 1, 1, 50, 100),
        ("paced", 64, 64, 50, 100 if quick else 200),
        ("paced", 1000, 1000, 50, 100 if quick else 250),
        ("saturated", 8, 8, 0, 20_000 if quick else 100_000),
    ]
    litellm_plans = [("first", 1, 20, 1000, 3), *(("paced", n, n, 50, 100) for n in (1, 16, 32, 64)), ("saturated", 8, 8, 0, 500)]
    rows = {}
    for round_number in range(rounds):
        for plan in plans:
            for name in ("direct", "weir", "weir, files", "nginx"):
                relay_row(rows, plan, name)
        if round_number == 0 and present("litellm"):  # its numbers are far from the others': one round is enough to see it
            for plan in litellm_plans:
                relay_row(rows, plan, "direct")
                relay_row(rows, plan, "litellm")
    print(f"\n## Relay: a provider's SSE in, a client's SSE out (load average {load()})\n")
    print("| load | streams | relay | µs CPU/token | µs CPU/request | tokens/s | added first token p50 µs | added delay p50 / p99 µs | RSS MB | errors |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for (kind, streams, name), results in sorted(rows.items(), key=lambda row: (ORDER.index(row[0][0]), row[0][1])):
        base = rows[(kind, streams, "direct")]
        added = {key: middle(results, key) - middle(base, key) for key in ("first_us_p50", "delay_us_p50", "delay_us_p99")}
        if name == "direct":
            continue
        cpu = f"{middle(results, 'cpu_us_per_token'):.2f}" if kind != "first" else ""
        delay = f"{added['delay_us_p50']:.0f} / {added['delay_us_p99']:.0f}" if kind == "paced" else ""
        first = f"{added['first_us_p50']:.0f}" if kind != "saturated" else ""
        print(f"| {kind} | {streams} | {name} | {cpu} | {middle(results, 'cpu_us_per_request'):.0f} | "
              f"{middle(results, 'tokens_per_s'):.0f} | {first} | {delay} | {middle(results, 'rss_mb'):.1f} | {max(r['errors'] for r in results)} |")

ORDER = ["first", "paced", "saturated"]

def relay_row(rows, plan, name):
    kind, streams, requests, rate, tokens = plan
    if not present(name):
        return
    upstream = free_port()
    with running([WORK / "upstream", upstream, rate, tokens], upstream, cpu=LOAD_CPU) as upstream_pid:
        if name == "direct":
            result = measure("relay", upstream, "/v1/chat/completions", streams, requests, tokens, upstream_pid, 60, OPENAI_BODY % "%d")
        else:
            with RELAYS[name](upstream) as (port, pid, path, body, headers):
                measure("relay", port, path, 1, 5, 3, pid, 60, body % "warm-up", *headers)
                result = measure("relay", port, path, streams, requests, tokens, pid, 60, body % "%d", *headers)
        rows.setdefault((kind, streams, name), []).append(result)
        note(f"relay {kind} {streams} {name}", result)

# MARK: fan-out

@contextlib.contextmanager
def weir_fanout(name="weir"):
    port = free_port()
    app = WORK / "fanout.weir"
    app.write_text("// only streams\n")
    with running([WEIR, "serve", "--caps", "all", *stores(name), "--public-streams", "--port", port, app], port) as pid:
        made = urllib.request.Request(f"http://127.0.0.1:{port}/streams/bench", method="PUT", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(made, timeout=10).close()
        yield port, pid, "/streams/bench", "/streams/bench"

@contextlib.contextmanager
def nchan_fanout():
    port, folder = free_port(), WORK / "nchan"
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(f"""
load_module {NCHAN};
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 18000; }}
http {{ access_log off; keepalive_timeout 3600; keepalive_requests 100000000; tcp_nodelay on; nchan_shared_memory_size 256m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location = /sub {{ nchan_subscriber eventsource; nchan_channel_id c; nchan_subscriber_first_message newest; nchan_subscriber_timeout 0; }}
    location = /pub {{ nchan_publisher; nchan_channel_id c; nchan_message_buffer_length 64; nchan_message_timeout 60s; }} }} }}
""")
    with running([NGINX, "-p", folder, "-c", folder / "nginx.conf"], port) as pid:
        yield port, pid, "/sub", "/pub"

FANOUTS = {"weir": weir_fanout, "weir, files": lambda: weir_fanout("weir, files"), "nchan": nchan_fanout}

def fanout(rounds, quick):
    rows = {}
    for _ in range(rounds):
        for readers in (1000, 5000):
            for mode, deliveries in (("window=4", 300_000), (f"rate={50_000 // readers}", 150_000), ("idle=1", 0)):
                tokens = max(1, (deliveries // (3 if quick else 1)) // readers)
                for name, start in FANOUTS.items():
                    if not present(name):
                        continue
                    with start() as (port, pid, sub, pub):
                        result = measure("fanout", port, sub, port, pub, readers, tokens, mode, pid, 90)
                    rows.setdefault((readers, mode, name), []).append(result)
                    note(f"fanout {readers} {mode} {name}", result)
    print(f"\n## Fan-out: one publisher, N readers (load average {load()})\n")
    print("| readers | load | server | µs CPU/delivery | of nchan | deliveries/s | delay p50 / p99 ms | missing |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for (readers, mode, name), results in rows.items():
        if mode.startswith("idle"):
            continue
        cpu, peer = middle(results, "cpu_us_per_delivery"), rows.get((readers, mode, "nchan"))
        ratio = f"{cpu / middle(peer, 'cpu_us_per_delivery'):.2f}" if peer else ""
        print(f"| {readers} | {mode} | {name} | {cpu:.2f} | {ratio} | {middle(results, 'deliveries_per_s'):.0f} | "
              f"{middle(results, 'delay_ms_p50'):.2f} / {middle(results, 'delay_ms_p99'):.2f} | {max(r['missing'] for r in results)} |")
    print("\n| idle readers | server | KB a reader | µs CPU per connect + request |")
    print("| ---: | --- | ---: | ---: |")
    for (readers, mode, name), results in rows.items():
        if mode.startswith("idle"):
            print(f"| {readers} | {name} | {middle(results, 'rss_kb_per_reader'):.2f} | {middle(results, 'cpu_us_per_connect'):.1f} |")

# MARK: start

def start(rounds, quick):
    """Cold start, size, memory of a server that has just started."""
    app = WORK / "hello.weir"
    app.write_text('println("hello")\n')
    served = WORK / "served.weir"
    served.write_text(APP)
    print(f"\n## Start (load average {load()})\n\n| what | |\n| --- | ---: |")
    for arguments in (["version"], ["check", app], ["run", app]):
        times = []
        for _ in range(20 if quick else 60):
            begun = time.perf_counter()
            done = subprocess.run([WEIR, *arguments], capture_output=True, text=True)
            times.append((time.perf_counter() - begun) * 1000)
            if done.returncode:
                raise RuntimeError(f"weir {arguments[0]}: {done.stderr}")
        times.sort()
        print(f"| `weir {arguments[0]}`, fork to exit, ms: least / median | {times[0]:.1f} / {statistics.median(times):.1f} |")
    stripped = WORK / "stripped"
    subprocess.run(["strip", "-o", stripped, WEIR], check=True)
    print(f"| binary / stripped, MB (10⁶) | {WEIR.stat().st_size / 1e6:.1f} / {stripped.stat().st_size / 1e6:.1f} |")
    linked = subprocess.run(["ldd", WEIR], capture_output=True, text=True).stdout
    print(f"| linked libraries | {', '.join(line.split()[0].split('/')[-1] for line in linked.splitlines())} |")
    port = free_port()
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "bench"}
    with running([WEIR, "serve", "--caps", "all", "--port", port, served], port, env=env) as pid:
        time.sleep(0.3)
        pages = {key: int(value.split()[0]) for key, value in (line.split(":") for line in open(f"/proc/{pid}/status")) if key in ("VmRSS", "RssAnon")}
        print(f"| server's RSS at start / of it its own memory, MB | {pages['VmRSS'] / 1024:.1f} / {pages['RssAnon'] / 1024:.1f} |")

# MARK: streams

def results_of(product, key, rounds):
    """What a program of ours measures, one JSON object a line, of all rounds by what their `key` says. Built first."""
    subprocess.run([*"swift build -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked --explicit-target-dependency-import-check error".split(),
                    "--product", product], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    results = {}
    for _ in range(rounds):
        done = subprocess.run(["taskset", "-c", LOAD_CPU, str(ROOT / ".build/release" / product)], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            result = json.loads(line)
            results.setdefault(result[key], []).append(result)
    return results

def streams(rounds, quick):
    """Parsing server-sent events beside copying their bytes: the parser alone, and with an event and its text made of each."""
    shapes = results_of("StreamBenchmarks", "shape", 1 if quick else rounds)
    print(f"\n## Server-sent events, parsed (load average {load()})\n")
    print("| stream | memcpy GB/s | parsed GB/s | with events GB/s | ns an event |\n| --- | ---: | ---: | ---: | ---: |")
    for shape, results in shapes.items():
        fastest = lambda key: max(result[key] for result in results)
        print(f"| {shape} | {fastest('memcpy_gb_s'):.1f} | {fastest('visit_gb_s'):.2f} | {fastest('events_gb_s'):.2f} | {min(r['ns_per_event'] for r in results):.0f} |")

def store(rounds, quick):
    """The memory store alone: what an item costs to append and to read."""
    ways = results_of("StoreBenchmark", "what", 1 if quick else rounds)
    print(f"\n## The memory store (load average {load()})\n")
    print("| | ns an item |\n| --- | ---: |")
    for way, results in ways.items():
        print(f"| {way} | {min(r['ns_per_item'] for r in results):.0f} |")

def middle(results, key):
    return statistics.median(r[key] for r in results)

def deltas(rounds, quick):
    print(f"\n## A delta of a model's answer, read (load average {load()})\n")
    print(ai.table(ai.measure(WEIR, 1 if quick else rounds, SERVER_CPU)))

def stops(rounds, quick):
    print(f"\n## From stop to the provider's closed socket (load average {load()})\n")
    print(stop.table(stop.measure(WEIR, 500 if quick else 10_000, SERVER_CPU)))

PARTS = {
    "ai": deltas, "stop": stops,
    "start": start, "relay": relay, "fanout": fanout, "streams": streams, "store": store,
    "language": lambda rounds, quick: language.language(WEIR, WORK, rounds, quick),
    "sources": lambda rounds, quick: sources.sources(WEIR, WORK, rounds, quick),
    "websocket": lambda rounds, quick: websocket.run(quick, rounds),
    "durable": durable.durable, "redis": redis_store.run}

# What is compared with peers that keep nothing keeps nothing on disk either; `durable` says what that costs.
os.environ["WEIR_STORE"] = "memory"

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", choices=list(PARTS), default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not WEIR.exists() and options.what != ["durable"]:
        sys.exit("no .build/release/weir: run `make build` first")
    if set(options.what or PARTS) & {"relay", "fanout"}:
        build_tools()
    for name, why in (("nginx", "nginx"), ("nchan", "libnginx-mod-nchan"), ("litellm", "make peers")):
        if not present(name):
            print(f"left out: {name} is not installed ({why})")
    try:
        for what in options.what or list(PARTS):
            PARTS[what](options.rounds, options.quick)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
