"""The language's part of `run.py`: the programs of Benchmarks/language beside the same in Lua 5.4 and CPython, fibers beside
coroutines, and how long checking takes. CPU time of whole processes, less that of an empty program; the languages take turns.
"""
import json, os, pathlib, shutil, statistics, subprocess, sys, time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = {  # name: the size that Tests/Product gives it (the benchmark's is the program's own default)
    "fib": 12, "loop": 1000, "closure": 1000, "event": 100, "tail": 1000}
LUA = shutil.which("lua5.4")
GOALS = {"fib": 1.5, "loop": 1.5, "closure": 1.5, "event": 1.5}


def commands(weir, name, *arguments):
    """How each language that is installed runs a program. CPython has no tail calls."""
    found = {"weir": [weir, "run", HERE / f"language/{name}.weir"]}
    if LUA:
        found["lua"] = [LUA, HERE / f"language/{name}.lua"]
    if (HERE / f"language/{name}.py").exists():
        found["python"] = [sys.executable, HERE / f"language/{name}.py"]
    return {language: [str(part) for part in (*command, *arguments)] for language, command in found.items()}


def generated(lines):
    """A program of about that many lines with a bit of everything: what `weir check` is measured with."""
    out = ["import std/list (map, filter, foldl)", ""]
    part = 0
    while len(out) < lines:
        out += f"""type Shape{part} = Circle{part}(float) | Rect{part}(float, float) | Named{part}(string, [int]) | Empty{part}
type Point{part} = {{x: int, y: int, label: string}}

/// What a shape covers.
func area{part}(shape: Shape{part}) -> float {{
  match shape {{
    Circle{part}(r) => 3.14 * r * r,
    Rect{part}(w, h) if w == h => w * w,
    Rect{part}(w, h) => w * h,
    Named{part}(name, sizes) => if name == "none" then 0.0 else foldl(sizes, 0.0, (sum, size) => sum + 1.5),
    Empty{part} => 0.0
  }}
}}

func moved{part}(p: Point{part}, by: int) -> Point{part} {{
  let x = p.x + by
  let y = p.y - by * 2
  {{p | x: x, y: y, label: "${{p.label}} moved by ${{by}}"}}
}}

func total{part}(points: [Point{part}], limit: int) -> int {{
  var sum = 0
  for i, p in points {{
    let q = moved{part}(p, i)
    if q.x > limit && q.y != 0 {{ sum = sum + q.x * 2 }} else {{ sum = sum - q.y }}
  }}
  let large = points |> filter((p) => p.x > limit) |> map((p) => p.label ++ ": " ++ show(p.x))
  if len(large) > 3 {{ sum + len(large) }} else {{ sum }}
}}

func found{part}(names: [string], wanted: string) -> Option[string] {{
  match names {{
    [] => None,
    first :: rest => if first == wanted then Some(first) else found{part}(rest, wanted)
  }}
}}
""".split("\n")
        part += 1
    out.append("func main() { println(show(total0([{x: 1, y: 2, label: \"a\"}], 0))) }")
    return "\n".join(out) + "\n", len(out)


def cpu(command):
    """CPU milliseconds of a process, from its start to its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def taking_turns(commands, rounds):
    """(least, median) of each command's CPU time."""
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(cpu(command))
    return {name: (min(found), statistics.median(found)) for name, found in times.items()}


def language(weir, work, rounds, quick):
    rounds = 5 if quick else max(9, 5 * rounds)
    if not LUA:
        print("left out: lua5.4 is not installed (make peers)")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    (work / "empty.weir").write_text("()\n")
    (work / "empty.lua").write_text("")
    (work / "empty.py").write_text("")
    empty = {"weir": [str(weir), "run", str(work / "empty.weir")], "python": [sys.executable, str(work / "empty.py")]}
    if LUA:
        empty["lua"] = [LUA, str(work / "empty.lua")]
    start = taking_turns(empty, rounds)
    print(f"\n## Language: CPU ms, least / median of {rounds} runs (load average {load})\n")
    print("| program | weir | Lua 5.4 | CPython | weir ÷ Lua | CPython ÷ weir |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in PROGRAMS:
        times = {
            language: (least - start[language][0], median - start[language][1])
            for language, (least, median) in taking_turns(commands(weir, name), rounds).items()}
        cells = [f"{times[key][0]:.0f} / {times[key][1]:.0f}" if key in times else "" for key in ("weir", "lua", "python")]
        lua = ratio(times, "weir", "lua") + (f" (goal {GOALS[name]})" if name in GOALS and LUA else "")
        print(f"| {name} | {' | '.join(cells)} | {lua} | {ratio(times, 'python', 'weir')} |", flush=True)
    fibers(weir, rounds)
    checking(weir, work, rounds, quick)


def ratio(times, one, other):
    return f"{times[one][0] / times[other][0]:.2f} / {times[one][1] / times[other][1]:.2f}" if one in times and other in times else ""


def fibers(weir, rounds):
    tools = {"weir": [str(weir.parent / "FiberBenchmark")]}
    if LUA:
        tools["Lua 5.4 coroutine"] = [LUA, str(HERE / "language/coroutines.lua")]
    if not (weir.parent / "FiberBenchmark").exists():
        return print("\nleft out: no FiberBenchmark beside weir (make bench builds it)")
    results = {name: [] for name in tools}
    for _ in range(min(rounds, 9)):
        for name, command in tools.items():
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[name].append(json.loads(done.stdout))
    print("\n| parked five calls deep | life ns: made, parked, resumed, ended | park + resume ns | bytes parked |")
    print("| --- | ---: | ---: | ---: |")
    for name, found in results.items():
        cells = [f"{min(r[key] for r in found)} / {statistics.median(r[key] for r in found):.0f}" for key in ("life_ns", "resume_ns")]
        print(f"| {name} | {' | '.join(cells)} | {found[0]['bytes']} |")


def checking(weir, work, rounds, quick):
    hello = work / "hello.weir"
    hello.write_text('println("hello")\n')
    print("\n| `weir` | CPU ms, least / median | wall ms, least / median |")
    print("| --- | ---: | ---: |")
    row([str(weir), "run", str(hello)], "run hello", rounds)
    row([str(weir), "check", str(hello)], "check hello", rounds)
    for size in (5_000, 50_000):
        text, lines = generated(size)
        path = work / f"generated{size}.weir"
        path.write_text(text)
        row([str(weir), "check", str(path)], f"check {lines} lines", 3 if quick else rounds)
    row_of = {"a list of 100 000 items": "let xs = [" + ", ".join(str(i) for i in range(100_000)) + "]\nprintln(show(len(xs)))\n",
              "a match of 10 000 arms": "func f(x: int) -> int {\n  match x {\n" + "".join(f"    {i} => {i},\n" for i in range(10_000)) + "    _ => 0\n  }\n}\nprintln(show(f(7)))\n"}
    for name, text in row_of.items():
        path = work / "wide.weir"
        path.write_text(text)
        row([str(weir), "run", str(path)], f"run {name}", 3)


def row(command, name, rounds):
    processor, wall = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        processor.append(cpu(command))
        wall.append((time.perf_counter() - begun) * 1000)
    print(f"| {name} | {min(processor):.1f} / {statistics.median(processor):.1f} | {min(wall):.1f} / {statistics.median(wall):.1f} |", flush=True)
