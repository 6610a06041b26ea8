"""The wall of faults over real sockets, and what only a real transport can do wrong: compression, redirects, TLS."""
import contextlib, gzip, json, shutil, socket, ssl, subprocess, tempfile, threading, unittest

from ai_test import CANARY, OPENAI, folder, run
from harness import DEADLINE, Model, chunk, free_port
from wall import FAULTS, Wall, ends, is_played

PROGRAM = r'''
import std/ai/streaming (callStream)
func ask(model: string) -> unit ! {AI, Stream, Net, IO} {
  match callStream("mine", model, [{role: "user", content: "hi"}]) {
    Ok(text) => println("${model} ok ${text}"),
    Err(e) => println("${model} ${e.code} ${e.retryable} ${e.message}")
  }
}
func main() -> unit ! {AI, Stream, Net, IO} { CALLS }
'''


def asked(port, *models, scheme="http"):
    """What came of a call of each model, by its name."""
    toml = OPENAI.replace("[ai_provider.streaming]", "retry = { max = 0 }\n[ai_provider.streaming]")
    root = folder(PROGRAM.replace("CALLS", "\n".join(f'ask("{m}")' for m in models)), toml, port, "/v1")
    file = root / "weir.toml"
    file.write_text(file.read_text().replace("http://", f"{scheme}://"))
    done = run(root)
    assert CANARY not in done.stdout + done.stderr
    return done.stdout


class OverSockets(unittest.TestCase):
    def test_the_wall(self):
        chosen = [(i, f) for i, f in enumerate(FAULTS) if is_played(f) and ends(f) and f["sent"][-1]["at"] < 2_000_000]
        self.assertGreater(len(chosen), 50)
        with Wall() as wall:
            said = asked(wall.port, *(f"fault-{i}" for i, _ in chosen))
        for place, (i, fault) in enumerate(chosen):
            begin = said.index(f"fault-{i} ")
            end = said.index(f"fault-{chosen[place + 1][0]} ") if place + 1 < len(chosen) else len(said)
            found = said[begin:end]
            with self.subTest(fault["name"]):
                if fault["code"] == "–":
                    self.assertEqual(found, f"fault-{i} ok {fault['text']}\n")
                else:
                    self.assertEqual(found.split()[1], fault["code"], found)


def tls_files():
    root = tempfile.mkdtemp()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{root}/key.pem", "-out", f"{root}/cert.pem", "-days", "2", "-subj", "/CN=other.test"],
                   check=True, capture_output=True, timeout=DEADLINE)
    return root


class Transport(unittest.TestCase):
    def test_gzip_that_was_not_asked_for(self):
        def script(exchange):
            whole = "".join(f"data: {json.dumps(e) if isinstance(e, dict) else e}\n\n" for e in (chunk("Hel"), chunk("lo"), chunk(finish="stop"), "[DONE]"))
            data = gzip.compress(whole.encode())
            encoding = "Content-Encoding: gzip\r\n" if exchange.json["model"] == "said" else ""
            exchange.head_ok(extra=encoding)
            for i in range(0, len(data), 5):
                exchange.piece(data[i:i + 5])
            exchange.end()

        with Model(script) as model:
            said = asked(model.port, "said", "silent").splitlines()
        self.assertEqual(said[0].split()[1:3], ["ProtocolError", "false"], said)
        self.assertIn("answered compressed (gzip), which was not asked for", said[0])
        self.assertEqual(said[1].split()[1], "Truncated", said)

    def test_a_redirect_is_not_followed_with_the_key(self):
        reached = []
        with Model(lambda exchange: (reached.append(exchange.headers), exchange.words(["no"]))) as elsewhere:
            def script(exchange):
                exchange.send(f"HTTP/1.1 {exchange.json['model']} Moved\r\nLocation: http://127.0.0.1:{elsewhere.port}/v1\r\nContent-Length: 0\r\n\r\n".encode())

            with Model(script) as model:
                said = asked(model.port, "301", "302", "307", "308").splitlines()
        for line in said:
            self.assertEqual(line.split()[1:3], ["ProtocolError", "false"], said)
            self.assertIn("a redirect", line)
        self.assertEqual(reached, [])

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_tls_that_fails(self):
        root = tls_files()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{root}/cert.pem", f"{root}/key.pem")

        def handshakes(listener):
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)

        def refuses(listener):
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        for serve, why in ((handshakes, "(?i)tls|certificate|ssl"), (refuses, "(?i)tls|ssl")):
            listener = socket.create_server(("127.0.0.1", 0))
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
            try:
                said = asked(listener.getsockname()[1], "m", scheme="https")
            finally:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            self.assertEqual(said.split()[1:3], ["ConnectionFailed", "true"], said)
            self.assertRegex(said, why)
        self.assertEqual(asked(free_port(), "m").split()[1], "ConnectionFailed")


if __name__ == "__main__":
    unittest.main()
