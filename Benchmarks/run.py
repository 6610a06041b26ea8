#!/usr/bin/env python3
"""Runs the benchmarks and prints one table each: CPU per event first, peers in the same run, medians of several rounds.

    python3 Benchmarks/run.py [relay] [fanout] [--rounds N] [--quick]

Everything is on loopback, the server under test on core 0, the load on core 1. Peers that are missing are named and
left out. Needs `make build`, gcc, and for the peers `make peers`.
"""
import argparse, contextlib, json, os, pathlib, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = ROOT / ".build/release/weir"
PEERS = ROOT / ".build/peers/bin"
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
SERVER_CPU, LOAD_CPU = "0", "1"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-"))

APP = """
provider openai { api_key: env("OPENAI_API_KEY")  model: "bench" }
agent Relay { provider: openai  system: "You are a benchmark." }
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

def measure(tool, *arguments, timeout=150):
    done = subprocess.run(["taskset", "-c", LOAD_CPU, str(WORK / tool), *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr.strip()}")
    return json.loads(done.stdout)

# MARK: servers under test

@contextlib.contextmanager
def weir_relay(upstream):
    port = free_port()
    app = WORK / "relay.weir"
    app.write_text(APP)
    env = {"OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1", "OPENAI_API_KEY": "bench"}
    with running([WEIR, "serve", "--caps", "all", "--port", port, app], port, env=env) as pid:
        yield port, pid, "/relay", '{"message":"hi %d"}', []

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

OPENAI_BODY = '{"model":"bench","stream":true,"messages":[{"role":"user","content":"hi %d"}]}'

def present(name):
    if name == "nginx":
        return NGINX is not None
    if name == "nchan":
        return NGINX is not None and os.path.exists(NCHAN)
    if name == "litellm":
        return (PEERS / "litellm").exists()
    return True

RELAYS = {"weir": weir_relay, "nginx": nginx_relay, "litellm": litellm_relay}

def relay(rounds, quick):
    """One row: N paced streams of 50 tokens/s, then saturated."""
    plans = [("paced", 1, 50, 100), ("paced", 64, 50, 200), ("paced", 1000, 50, 100 if quick else 250), ("saturated", 8, 0, 20000 if quick else 100000)]
    rows = {}
    for round_number in range(rounds):
        for kind, streams, rate, tokens in plans:
            upstream = free_port()
            with running([WORK / "upstream", upstream, rate, tokens], upstream, cpu=LOAD_CPU) as upstream_pid:
                direct = measure("relay", upstream, "/v1/chat/completions", streams, tokens, upstream_pid, 60, OPENAI_BODY)
                rows.setdefault((kind, streams, "(direct)"), []).append(direct)
                for name, start in RELAYS.items():
                    if not present(name):
                        continue
                    if name == "litellm" and (streams > 64 or round_number > 0):
                        continue  # collapses past 16-32 streams; once is enough to see it
                    with start(upstream) as (port, pid, path, body, headers):
                        arguments = (port, path, streams, tokens, pid, 90)
                        if name == "litellm":
                            arguments = (port, path, min(streams, 16), min(tokens, 500) if rate == 0 else tokens, pid, 60)
                            if rate == 0:
                                continue_tokens = min(tokens, 500)
                                with running([WORK / "upstream", (short := free_port()), rate, continue_tokens], short, cpu=LOAD_CPU):
                                    pass
                        if name == "litellm" and rate == 0:
                            rows.setdefault((kind, streams, name), []).append(litellm_saturated(streams))
                            continue
                        measure("relay", port, path, 1, tokens, pid, 60, body, *headers) if rate == 0 else None
                        rows.setdefault((kind, streams, name), []).append(measure("relay", *arguments, body, *headers))
    print("\nrelay: provider's SSE in, client's SSE out (CPU of the relay; direct = no relay between)")
    print(f"{'load':<10} {'streams':>7} {'server':<9} {'us CPU/token':>12} {'tokens/s':>10} {'first token p50 us':>19} {'added':>8} {'delay p50/p99 us':>18} {'RSS MB':>7} {'errors':>7}")
    for (kind, streams, name), results in rows.items():
        first = middle(results, "first_us_p50")
        base = middle(rows[(kind, streams, "(direct)")], "first_us_p50")
        added = "" if name == "(direct)" else f"{first - base:.0f}"
        cpu = "" if name == "(direct)" else f"{middle(results, 'cpu_us_per_token'):.2f}"
        print(f"{kind:<10} {results[0]['streams']:>7} {name:<9} {cpu:>12} {middle(results, 'tokens_per_s'):>10.0f} {first:>19.0f} {added:>8} "
              f"{middle(results, 'delay_us_p50'):>9.0f}/{middle(results, 'delay_us_p99'):<8.0f} {middle(results, 'rss_mb'):>7.1f} {max(r['errors'] for r in results):>7}")

def litellm_saturated(streams):
    """Its ceiling needs few tokens: 500 a stream."""
    upstream = free_port()
    with running([WORK / "upstream", upstream, 0, 500], upstream, cpu=LOAD_CPU), litellm_relay(upstream) as (port, pid, path, body, headers):
        return measure("relay", port, path, streams, 500, pid, 60, body, *headers)

# MARK: fan-out

@contextlib.contextmanager
def weir_fanout():
    port = free_port()
    app = WORK / "fanout.weir"
    app.write_text("// only streams\n")
    with running([WEIR, "serve", "--caps", "all", "--public-streams", "--port", port, app], port) as pid:
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

FANOUTS = {"weir": weir_fanout, "nchan": nchan_fanout}

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
                        if name == "weir":  # the stream must exist before it can be read
                            subprocess.run(["curl", "-s", "-X", "PUT", "-H", "Content-Type: text/plain", f"http://127.0.0.1:{port}{sub}"], check=True, stdout=subprocess.DEVNULL)
                        rows.setdefault((readers, mode, name), []).append(measure("fanout", port, sub, port, pub, readers, tokens, mode, pid, 90))
    print("\nfan-out: one publisher, N readers (CPU of the server)")
    print(f"{'readers':>7} {'load':<10} {'server':<7} {'us CPU/delivery':>15} {'deliveries/s':>13} {'delay p50/p99 ms':>18} {'missing':>8} {'KB/idle reader':>15} {'us/connect':>11}")
    for (readers, mode, name), results in rows.items():
        if mode.startswith("idle"):
            print(f"{readers:>7} {'idle':<10} {name:<7} {'':>15} {'':>13} {'':>18} {'':>8} {middle(results, 'rss_kb_per_reader'):>15.2f} {middle(results, 'cpu_us_per_connect'):>11.1f}")
        else:
            print(f"{readers:>7} {mode:<10} {name:<7} {middle(results, 'cpu_us_per_delivery'):>15.2f} {middle(results, 'deliveries_per_s'):>13.0f} "
                  f"{middle(results, 'delay_ms_p50'):>9.2f}/{middle(results, 'delay_ms_p99'):<8.2f} {max(r['missing'] for r in results):>8}")

def middle(results, key):
    return statistics.median(r[key] for r in results)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", choices=["relay", "fanout"], default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not WEIR.exists():
        sys.exit("no .build/release/weir: run `make build` first")
    build_tools()
    for name, why in (("nginx", "nginx"), ("nchan", "libnginx-mod-nchan"), ("litellm", "make peers")):
        if not present(name):
            print(f"left out: {name} is not installed ({why})")
    try:
        for what in options.what or ["relay", "fanout"]:
            {"relay": relay, "fanout": fanout}[what](options.rounds, options.quick)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
