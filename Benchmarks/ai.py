"""What a delta of a model's answer costs the client: `callStream` beside the services' own Python clients and Node's fetch.

A server on loopback sends an answer of so many deltas, each an event and an HTTP chunk of its own, as fast as it is taken. CPU is the
client process's own (user and system); that of a short answer is taken off that of a long one, so that starting up and making the
request are not in it. Every client joins the whole text, and its length is checked.
"""
import importlib.util, json, os, pathlib, re, shutil, socket, statistics, subprocess, sys, tempfile, threading

SHORT, LONG = 1_000, 101_000
MESSAGES = [{"role": "user", "content": "Count."}]
NODE = shutil.which("node")

PROGRAM = '''
import std/ai/streaming (callStream)
import std/env (getEnvOr)
func main() -> unit ! {AI, Stream, Net, IO, Env} {
  match callStream("bench", getEnvOr("COUNT", "1"), "[{\\"role\\":\\"user\\",\\"content\\":\\"Count.\\"}]") {
    Ok(text) => println(len(text)),
    Err(e) => println(e.code ++ ": " ++ e.message)
  }
}
'''
OPENAI = '''
import os, openai
client = openai.OpenAI(base_url=os.environ["BASE"] + "/v1", api_key="k", max_retries=0)
stream = client.chat.completions.create(model=os.environ["COUNT"], messages=[{"role": "user", "content": "Count."}], stream=True)
print(len("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)))
'''
ANTHROPIC = '''
import os, anthropic
client = anthropic.Anthropic(base_url=os.environ["BASE"], api_key="k", max_retries=0)
stream = client.messages.create(model=os.environ["COUNT"], max_tokens=4096, messages=[{"role": "user", "content": "Count."}], stream=True)
print(len("".join(event.delta.text for event in stream if event.type == "content_block_delta")))
'''
FETCH = '''
const [path, pick] = process.env.SHAPE === "anthropic_messages"
  ? ["/v1/messages", (event) => event.delta?.text ?? ""] : ["/v1/chat/completions", (event) => event.choices?.[0]?.delta?.content ?? ""];
const response = await fetch(process.env.BASE + path, { method: "POST", headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ model: process.env.COUNT, messages: [{ role: "user", content: "Count." }], stream: true }) });
const decoder = new TextDecoder();
let pending = "", text = "";
for await (const bytes of response.body) {
  pending += decoder.decode(bytes, { stream: true });
  const events = pending.split("\\n\\n");
  pending = events.pop();
  for (const event of events) {
    for (const line of event.split("\\n")) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") text += pick(JSON.parse(line.slice(6)));
    }
  }
}
console.log(text.length);
'''


def events(shape, count):
    """An answer as bytes: `count` deltas of 5 letters."""
    if shape == "openai_chat":
        def chunk(delta, finish="null"):
            return ('data: {"id":"chatcmpl-A1b2C3d4E5f6","object":"chat.completion.chunk","created":1700000000,"model":"bench","service_tier":"default","system_fingerprint":"fp_1",'
                    f'"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}\n\n')
        first, last = [chunk('{"role":"assistant","content":""}')], [chunk("{}", '"stop"'), "data: [DONE]\n\n"]
        one = chunk('{"content":" word"}')
    else:
        def event(value):
            return f"event: {value['type']}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"
        first = [event({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "bench", "content": [], "stop_reason": None, "stop_sequence": None,
                                                             "usage": {"input_tokens": 1, "output_tokens": 1}}}),
                 event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})]
        one = event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"}})
        last = [event({"type": "content_block_stop", "index": 0}), event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": count}}),
                event({"type": "message_stop"})]
    framed = lambda text: b"%x\r\n%s\r\n" % (len(text), text.encode())
    return b"".join(map(framed, first)) + framed(one) * count + b"".join(map(framed, last)) + b"0\r\n\r\n"


class Server:
    """Answers every POST with the deltas that its model's name asks for."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.answers = {(shape, count): events(shape, count) for shape in ("openai_chat", "anthropic_messages") for count in (SHORT, LONG)}
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, body = data.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
        while len(body) < length:
            body += connection.recv(65536)
        shape = "anthropic_messages" if b" /v1/messages " in head else "openai_chat"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + self.answers[shape, int(json.loads(body)["model"])])
        connection.close()


def clients(weir, shape):
    """Name → command; those that are not installed are left out."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-ai-"))
    (folder / "app.weir").write_text(PROGRAM)
    found = {"weir": [str(weir), "run", "--caps", "all", str(folder / "app.weir")]}
    package, program = ("openai", OPENAI) if shape == "openai_chat" else ("anthropic", ANTHROPIC)
    python = pathlib.Path(__file__).resolve().parent.parent / ".build/peers/bin/python"
    if python.exists() and subprocess.run([str(python), "-c", f"import {package}"], capture_output=True).returncode == 0:
        found[f"{package} (Python)"] = [str(python), "-c", program]
    if NODE:
        (folder / "fetch.mjs").write_text(FETCH)
        found["fetch (Node)"] = [NODE, str(folder / "fetch.mjs")]
    return folder, found


def cpu(command, folder, server, shape, count, pin=None):
    """User and system time of one client, in seconds."""
    path = "/v1/messages" if shape == "anthropic_messages" else "/v1/chat/completions"
    (folder / "weir.toml").write_text(f'[[ai_provider]]\nschema_version = 1\nname = "bench"\nendpoint = "http://127.0.0.1:{server.port}{path}"\nrequest_shape = "{shape}"\n'
                                      '[ai_provider.streaming]\nenabled = true\n' + ('done_sentinel = "[DONE]"\n' if shape == "openai_chat" else ""))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "WEIR_STORE": "memory", "BASE": f"http://127.0.0.1:{server.port}", "COUNT": str(count), "SHAPE": shape}
    process = subprocess.Popen(["taskset", "-c", pin, *command] if pin else command, stdout=subprocess.PIPE, env=env, cwd=folder)
    said = process.stdout.read().decode().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if said != str(5 * count):
        raise RuntimeError(f"{command[0]} read {said!r} instead of {5 * count} characters")
    return usage.ru_utime + usage.ru_stime


def measure(weir, rounds=3, pin=None):
    """Rows of (shape, client, least and median µs a delta, least ÷ weir's)."""
    server = Server()
    rows = []
    for shape in ("openai_chat", "anthropic_messages"):
        folder, found = clients(weir, shape)
        costs = {name: [] for name in found}
        for _ in range(rounds):
            for name, command in found.items():
                times = [cpu(command, folder, server, shape, count, pin) for count in (SHORT, LONG)]
                costs[name].append((times[1] - times[0]) / (LONG - SHORT) * 1e6)
        for name, all_costs in costs.items():
            rows.append((shape, name, min(all_costs), statistics.median(all_costs), min(all_costs) / min(costs["weir"])))
    return rows


def table(rows):
    lines = ["| dialect | client | µs CPU/delta, least / median | ÷ weir |", "| --- | --- | ---: | ---: |"]
    return "\n".join(lines + [f"| `{shape}` | {name} | {least:.2f} / {median:.2f} | {ratio:.1f} |" for shape, name, least, median, ratio in rows])


if __name__ == "__main__":
    binary = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / ".build/release/weir"
    print(table(measure(binary, pin="0")))
