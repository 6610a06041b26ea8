"""The part of `run.py` for event loops: what an event costs from a source through `select` into a handler in Swift and in Weir.
CPU time; of whole processes less that of one without events.
"""
import json, os, pathlib, statistics, subprocess, time

LINE = "a line of some forty bytes, as they are\n"
HANDLER = """
import std/stream (asyncReadStdinLines, timerSource, selectEvents, foldEvents, SourceText)
func main(kind: string) {
  let source = if kind == "timer" then timerSource("t", 1, 0) else asyncReadStdinLines("in", 0)
  if kind == "fold" {
    println(foldEvents([source], 0, (n, event) => match event {
      SourceText(_, line) => {state: n + len(line), continue: true},
      _ => {state: n, continue: false}
    }))
  } else {
    var left = 1000
    selectEvents([source], (event) => match event {
      SourceText("t", _) => { left = left - 1; left > 0 },
      SourceText(_, line) => line != "",
      _ => false
    })
  }
}
"""


def cpu_of(command, stdin):
    """CPU seconds of a process, all its threads, user and system."""
    before = os.times()
    done = subprocess.run([str(part) for part in command], stdin=stdin, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return after.children_user + after.children_system - before.children_user - before.children_system, done.stdout


def sources(weir, work, rounds, quick):
    tool = pathlib.Path(weir).parent / "SelectBenchmark"
    if not tool.exists():
        return print("\nleft out: no SelectBenchmark beside weir (make bench builds it)")
    count = 200_000 if quick else 1_000_000
    typed, nothing = pathlib.Path(work) / "lines", pathlib.Path(work) / "nothing"
    typed.write_text(LINE * count)
    nothing.write_text("")
    program = pathlib.Path(work) / "sources.weir"
    program.write_text(HANDLER)
    rows = {}

    def add(name, ns):
        rows.setdefault(name, []).append(ns)

    for _ in range(rounds):
        add("three queues, two bands → Swift handler", json.loads(cpu_of([tool, "queues", count], None)[1])["ns"])
        with typed.open() as file:
            add("stdin lines → `for try await` (two threads)", json.loads(cpu_of([tool, "lines"], file)[1])["ns"])
        for kind, events in (("select", count), ("fold", count)):
            run = [weir, "run", "--caps", "Stream", program, kind]
            with nothing.open() as file:
                empty, _ = cpu_of(run, file)
            with typed.open() as file:
                full, _ = cpu_of(run, file)
            add(f"stdin lines → `{'selectEvents' if kind == 'select' else 'foldEvents'}` with a Weir handler", (full - empty) / events * 1e9)
        with nothing.open() as file:
            ticks, _ = cpu_of([weir, "run", "--caps", "Stream", program, "timer"], file)
            empty, _ = cpu_of([weir, "run", "--caps", "Stream", program, "select"], nothing.open())
            add("timer of 1 ms → Weir handler (a sleep and a wake-up each)", (ticks - empty) / 1000 * 1e9)
    print(f"\n## Event loops, {count} events, medians of {rounds}\n\n| path | CPU ns an event |\n|---|---|")
    for name, found in rows.items():
        print(f"| {name} | {statistics.median(found):.0f} |")
