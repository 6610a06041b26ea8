"""The wall of faults over real sockets: what Tests/WeirAITests/FaultWall.swift puts before the decoder, played by a model server.

The fault is chosen by the model's name, `fault-N`. Its parts are those of a recording (docs/streams.md)."""
import base64, json, pathlib, socket, struct, time

from harness import Model

FAULTS = json.loads((pathlib.Path(__file__).parent / "faults.json").read_text())
CONNECTION = {"ConnectionRefused", "NameNotFound", "TLSError", "Timeout"}  # nothing that a server which was reached could do


def failure(fault):
    return next((part["failed"] for part in fault["sent"] if "failed" in part), None)


def is_played(fault):
    return failure(fault) not in CONNECTION


def ends(fault):
    return any("finished" in part or "failed" in part for part in fault["sent"])


def play(exchange, fault, speed=1):
    begun, chunked = time.monotonic(), False
    for part in fault["sent"]:
        time.sleep(max(0, begun + part["at"] / 1e6 / speed - time.monotonic()))
        if "head" in part:
            headers = {"content-type": "text/event-stream", **part["headers"]}
            exchange.send((f"HTTP/1.1 {part['head']} Status\r\nTransfer-Encoding: chunked\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode())
        elif "body" in part or "data" in part:
            exchange.piece(part["body"] if "body" in part else base64.b64decode(part["data"]))
        elif "finished" in part:
            return exchange.end()
        elif part["failed"] == "ProtocolError":
            exchange.send(b"this is not HTTP\r\n\r\n")
            break
        elif part["failed"] == "ConnectionReset":
            time.sleep(0.05)
            exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            break
        else:
            break
    else:
        exchange.wait_closed(120)
    exchange.closed_at = time.monotonic()


class Wall(Model):
    def __init__(self, speed=1):
        super().__init__(lambda exchange: play(exchange, FAULTS[int(exchange.json["model"].split("-")[1])], speed))
