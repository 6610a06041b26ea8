import sys
from dataclasses import dataclass

@dataclass(slots=True)
class Opened:
    url: str

@dataclass(slots=True)
class Message:
    kind: str
    text: str

@dataclass(slots=True)
class Failed:
    code: int
    why: str

@dataclass(slots=True)
class Closed:
    pass

CLOSED = Closed()

def handle(event):
    match event:
        case Opened(url): return "opened " + url
        case Message("ping", _): return "pong"
        case Message(kind, text): return f"[{kind}] {text}!"
        case Failed(code, why): return f"failed {code} {why}"
        case Closed(): return "closed"

def made(i):
    kind = i % 8
    if kind == 0: return Opened("ws://host")
    if kind == 1: return Failed(i, "reset")
    if kind == 2: return CLOSED
    if kind == 3: return Message("ping", "")
    return Message("token", "hello, world")

def main(n):
    length = i = 0
    while i < n:
        length += len(handle(made(i)))
        i += 1
    print(length)

main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
