"""`weir streams` over real files: pipes, followers, a full disk, a folder that is read-only, writers that are killed at random."""
import contextlib, hashlib, json, os, pathlib, random, re, resource, shutil, signal, subprocess, tempfile, threading, time, unittest

from harness import DEADLINE, Response, Weir, binary, free_port, small_disk, until

KILLS = int(os.environ.get("WEIR_KILLS", "30"))
SEED = int(os.environ.get("WEIR_SEED", "1"))


def clean():
    return {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}


def command(*arguments):
    return [str(binary()), "streams", *map(str, arguments)]


def streams(folder, *arguments, input=b"", **options):
    return subprocess.run(command(*arguments), cwd=folder, env=clean(), capture_output=True, timeout=DEADLINE, input=input, **options)


def start(folder, *arguments, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command(*arguments), cwd=folder, env=clean(), **options)


def files(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in pathlib.Path(folder, ".weir/streams").iterdir() if p.name != "lock"}


def processor_time(process):
    return sum(map(int, pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weir-streams-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def streams(self, *arguments, status=0, **options):
        done = streams(self.folder, *arguments, **options)
        self.assertEqual(done.returncode, status, (arguments, done.stdout[-300:], done.stderr))
        return done


def weir_put(case, name, content_type, body):
    """Makes a stream by a server, which asks for no kind in particular."""
    port = free_port()
    program = pathlib.Path(case.folder) / "app.weir"
    program.write_text("func main() { () }\n")
    with Weir("serve", "--caps", "all", "--public-streams", "--store", pathlib.Path(case.folder, ".weir/streams"), "--port", port, program, port=port).wait_listening():
        answer = Response(port, "PUT", f"/streams/{name}", body, {"Content-Type": content_type})
        answer.read()
        return answer.status


class Pipes(Case):
    def test_what_goes_in_comes_out(self):
        odd = "é\r\n\n  two  \n\x00\x1b[31m\nlast without an end".encode()
        for name, flags, data in (("text", [], odd), ("bytes", ["--binary"], random.Random(1).randbytes(1_000_000)), ("empty", ["--binary"], b""),
                                  ("long", ["--text"], b"x" * 3_000_000 + b"\n" + b"y" * 70_000)):
            with self.subTest(name):
                self.streams("append", name, *flags, input=data)
                self.assertEqual(self.streams("cat", name).stdout, data)
        values = b'{"a": 1}\n\n  [1, "\\u00e9"] \r\n"text"\nnull'
        acknowledged = self.streams("append", "--json", "values", input=values).stdout
        self.assertEqual(acknowledged.split()[-1], b"4")
        self.assertEqual(self.streams("cat", "values").stdout, b'{"a": 1}\n[1, "\\u00e9"]\n"text"\nnull\n')
        # What a stream holds is known from then on.
        self.streams("append", "values", "--item", "[]")
        self.assertEqual(self.streams("cat", "values").stdout.splitlines()[-1], b"[]")
        self.assertIn(b"item 2 is no JSON", self.streams("append", "values", "--item", "1", "--item", "{", status=1).stderr)
        self.assertIn(b"application/json", self.streams("append", "values", "--text", "--item", "1", status=1).stderr)
        self.assertEqual(len(self.streams("cat", "values").stdout.splitlines()), 5)

    def test_whatever_says_that_it_is_json_is(self):
        self.assertEqual(weir_put(self, "odd", "application/vnd.odd+json", b'{"a":1}'), 201)
        self.streams("append", "odd", "--item", " [1] ")
        self.assertEqual(self.streams("cat", "odd").stdout, b'{"a":1}\n[1]\n')
        self.assertIn(b"item 1 is no JSON", self.streams("append", "odd", "--item", "{", status=1).stderr)

    def test_what_is_refused_makes_no_stream(self):
        for words, data in ((["--json"], b"{x\n1\n"), (["--json"], b"{x"), (["--json", "--item", "1", "--item", "{x"], b""), (["--text"], b"y" * (17 << 20))):
            said = self.streams("append", "refused", *words, input=data, status=1).stderr.decode()
            self.assertIn("; nothing is kept", said)
            self.assertIn("no stream", self.streams("cat", "refused", status=1).stderr.decode())
        self.assertIn("one append holds at most that much", said)
        self.assertNotIn("delete streams", said)
        # What comes before the bad one is kept, wherever the input was cut.
        done = self.streams("append", "some", "--json", input=b"1\n\n2\n{x\n3\n", status=1)
        self.assertIn(b"item 4 is no JSON", done.stderr)
        self.assertIn(b"what comes before it is kept, 2 items", done.stderr)
        self.assertEqual((done.stdout, self.streams("cat", "some").stdout), (b"2\n", b"1\n2\n"))
        done = self.streams("append", "long", input=b"short\n" + b"y" * (17 << 20), status=1)
        self.assertIn(b"line 2 of standard input has more than 16777216 bytes; what comes before it is kept, 1 item\n", done.stderr)
        self.assertEqual(self.streams("cat", "long").stdout, b"short\n")
        # Nothing at all was asked for, and is there.
        self.streams("append", "none", "--json", input=b"\n")
        self.assertEqual(self.streams("ls").stdout.decode(), "long\t1\ttext/plain; charset=utf-8\topen\nnone\t0\tapplication/json\topen\nsome\t2\tapplication/json\topen\n")

    def test_acknowledgements_are_positions(self):
        self.assertEqual(self.streams("append", "a", "--item", "x", "--item", "y").stdout, b"2\n")
        self.assertEqual(self.streams("append", "a", input=b"1\n2\n3\n").stdout, b"5\n")

    def test_a_name_that_is_none_over_http_is_not_made(self):
        self.streams("append", "a", "--item", "x")
        for words in (["append", "__ds/x", "--item", "y"], ["append", "__ds", "--item", "y"], ["fork", "a", "__ds/y"]):
            self.assertIn(b"over HTTP", self.streams(*words, status=1).stderr)
        self.assertEqual(self.streams("ls").stdout.count(b"\n"), 1)

    def test_a_store_that_is_not_there_is_the_same_to_everybody(self):
        said = {self.streams(*verb, "--store", "nowhere", status=1).stderr for verb in (["ls"], ["cat", "a"], ["tail", "a"], ["fsck"])}
        self.assertEqual(len(said), 1, said)
        self.assertIn(b"there is no store in nowhere yet", said.pop())

    def test_tail_and_from(self):
        self.streams("append", "n", input=b"".join(b"%d\n" % n for n in range(25)))
        self.assertEqual(self.streams("tail", "n").stdout.split(), [b"%d" % n for n in range(15, 25)])
        self.assertEqual(self.streams("tail", "n", "--from", "23").stdout.split(), [b"23", b"24"])
        self.assertEqual(self.streams("tail", "n", "--from", "25").stdout, b"")
        self.assertIn(b"ends at offset", self.streams("tail", "n", "--from", "26", status=1).stderr)

    def test_the_exit_status_says_how_it_ended(self):
        self.streams("append", "done", "--item", "x")
        self.assertEqual(self.streams("close", "done").stdout, b"1\n")
        self.streams("append", "broken", "--item", "x\n")
        self.streams("close", "broken", "--abort", "no \x1b[31mmore")
        for verb in (["cat"], ["tail"], ["tail", "-f"]):
            self.assertEqual(self.streams(*verb, "done").stdout, b"x")
            ended = self.streams(*verb, "broken", status=1)
            self.assertEqual((ended.stdout, ended.stderr), (b"x\n", 'weir: stream "broken" was aborted: no �[31mmore\n'.encode()))
        self.assertIn(b"is closed", self.streams("append", "done", "--item", "y", status=1).stderr)
        self.assertIn(b"is closed", self.streams("close", "done", status=1).stderr)

    def test_forks_lists_and_removal(self):
        self.streams("append", "runs/a", input=b"1\n2\n3\n")
        self.streams("append", "--json", "values", "--item", "1")
        self.assertEqual(self.streams("fork", "runs/a", "draft", "--at", "2").stdout, b"2\n")
        self.assertIn(b"exists already", self.streams("fork", "runs/a", "draft", "--at", "2", status=1).stderr)
        self.streams("append", "draft", input=b"own\n")
        self.assertEqual(self.streams("cat", "draft").stdout, b"1\n2\nown\n")
        self.assertEqual(self.streams("ls").stdout.decode(), "draft\t3\ttext/plain; charset=utf-8\topen\nruns/a\t3\ttext/plain; charset=utf-8\topen\n"
                         "values\t1\tapplication/json\topen\n")
        self.assertEqual(self.streams("ls", "runs/").stdout.split(b"\t")[0], b"runs/a")
        rows = [json.loads(line) for line in self.streams("ls", "--json").stdout.splitlines()]
        self.assertEqual(rows[0]["fork"], {"of": "runs/a", "at": 2})
        self.assertEqual([(r["name"], r["items"], r["state"]) for r in rows], [("draft", 3, "open"), ("runs/a", 3, "open"), ("values", 1, "open")])
        self.streams("rm", "runs/a")
        self.assertIn(b"was deleted", self.streams("cat", "runs/a", status=1).stderr)
        self.assertEqual(self.streams("cat", "draft").stdout, b"1\n2\nown\n")
        self.streams("rm", "draft")
        self.assertIn(b"no stream", self.streams("cat", "runs/a", status=1).stderr)
        self.assertEqual(set(files(self.folder)), {"values@0000000000000000.log"})
        self.assertIn(b"no stream", self.streams("rm", "draft", status=1).stderr)

    def test_a_reader_that_has_seen_enough_ends_it(self):
        self.streams("append", "big", input=b"0123456789abcde\n" * 200_000)
        with start(self.folder, "cat", "big") as cat:
            self.assertEqual(cat.stdout.readline(), b"0123456789abcde\n")
            cat.stdout.close()
            self.assertEqual((cat.wait(DEADLINE), cat.stderr.read()), (0, b""))
        # Also while nothing comes.
        with start(self.folder, "tail", "-f", "big") as tail:
            self.assertEqual(tail.stdout.readline(), b"0123456789abcde\n")
            tail.stdout.close()
            self.assertEqual((tail.wait(DEADLINE), tail.stderr.read()), (0, b""))

    def test_output_that_cannot_be_written_is_a_failure(self):
        self.streams("append", "a", "--item", "x")
        with open("/dev/full", "wb") as full, start(self.folder, "cat", "a", stdout=full) as cat:
            self.assertEqual(cat.wait(DEADLINE), 1)
            self.assertIn(b"No space left", cat.stderr.read())

    def test_what_is_not_understood(self):
        for arguments, said in ((["lst"], "did you mean `weir streams ls`?"), (["cat"], "takes NAME"), (["cat", "a", "b"], "takes NAME"), (["fsck", "a"], "takes no name"),
                                (["cat", "a", "-f"], "has no option --follow"), (["tail", "a", "--from", "-1"], "from 0"), (["append", "a", "--json", "--text"], "one of"),
                                (["ls", "--store", "memory"], "memory"), (["ls", "--store", "ftp://x"], "ftp"), ([], "needs ls")):
            with self.subTest(arguments):
                self.assertIn(said, self.streams(*arguments, status=2).stderr.decode())
        for name in ("../x", "a//b", "a:b", "x" * 300, "é\n"):
            with self.subTest(name):
                self.assertIn(b"cannot name a stream", self.streams("cat", name, status=1).stderr)
                self.assertIn(b"cannot name a stream", self.streams("append", name, "--item", "x", status=1).stderr)

    def test_reading_makes_nothing(self):
        for verb in (["ls"], ["cat", "a"], ["tail", "a"], ["fsck"]):
            done = self.streams(*verb, status=1)
            self.assertIn(b".weir/streams", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])


class Beside(Case):
    """Readers beside the process that writes."""

    @contextlib.contextmanager
    def writer(self, name, *flags):
        with start(self.folder, "append", name, *flags, stdin=subprocess.PIPE) as process:
            def write(data):
                process.stdin.write(data)
                process.stdin.flush()
                return int(process.stdout.readline())
            try:
                yield process, write
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def test_follows_what_another_process_writes(self):
        with self.writer("a") as (process, write):
            self.assertEqual(write(b"one\n"), 1)
            with start(self.folder, "tail", "-f", "a") as tail:
                self.assertEqual(tail.stdout.readline(), b"one\n")
                self.assertEqual(write(b"two\nthree\n"), 3)
                self.assertEqual([tail.stdout.readline() for _ in range(2)], [b"two\n", b"three\n"])
                before = processor_time(tail)
                silence = time.monotonic() + 1
                until(lambda: time.monotonic() > silence, "a second of silence")
                self.assertLessEqual(processor_time(tail) - before, 0.011)
                refused = self.streams("append", "b", "--item", "x", status=1)
                self.assertIn(f"another process ({process.pid}) writes to the streams in .weir/streams", refused.stderr.decode())
                self.assertIn(b"POST /streams/NAME", refused.stderr)
                for verb in (["close", "a"], ["rm", "a"], ["fork", "a", "b"]):
                    self.assertIn(b"another process (", self.streams(*verb, status=1).stderr)
                for verb in (["ls"], ["cat", "a"], ["fsck"]):
                    self.streams(*verb)
                process.stdin.close()
                self.assertEqual(process.wait(DEADLINE), 0)
                self.streams("append", "a", "--item", "four\n")
                self.assertEqual(tail.stdout.readline(), b"four\n")
                self.streams("close", "a", "--abort", "enough")
                self.assertEqual((tail.stdout.read(), tail.wait(DEADLINE)), (b"", 1))
                self.assertIn(b"was aborted: enough", tail.stderr.read())

    def test_follows_through_segments(self):
        line = b"x" * 60_000 + b"\n"
        with self.writer("big") as (process, write):
            write(b"first\n")
            with start(self.folder, "tail", "-f", "big") as tail:
                digest, seen = hashlib.sha256(), [0]
                def read():
                    while piece := tail.stdout.read1(1 << 20):
                        digest.update(piece)
                        seen[0] += len(piece)
                reader = threading.Thread(target=read)
                reader.start()
                expected = hashlib.sha256(b"first\n")
                for number in range(400):  # 24 MB: three segments
                    data = b"%d" % number + line
                    expected.update(data)
                    write(data)
                process.stdin.close()
                process.wait(DEADLINE)
                self.streams("close", "big")
                self.assertEqual(tail.wait(DEADLINE), 0)
                reader.join(DEADLINE)
                self.assertEqual(digest.digest(), expected.digest())
        self.assertGreaterEqual(len(files(self.folder)), 3)
        self.assertIn(b": sound", self.streams("fsck").stdout)

    def test_a_stream_that_is_deleted_ends_its_followers(self):
        self.streams("append", "a", "--item", "x\n")
        with start(self.folder, "tail", "-f", "a") as tail:
            self.assertEqual(tail.stdout.readline(), b"x\n")
            self.streams("rm", "a")
            self.assertEqual(tail.wait(DEADLINE), 1)
            self.assertIn(b'no stream "a"', tail.stderr.read())

    def test_signals_end_a_follower(self):
        self.streams("append", "a", "--item", "x\n")
        for sent, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with start(self.folder, "tail", "-f", "a") as tail:
                self.assertEqual(tail.stdout.readline(), b"x\n")
                tail.send_signal(sent)
                self.assertEqual(tail.wait(DEADLINE), status)


class Damage(Case):
    def test_fsck_finds_a_flipped_bit_and_changes_nothing(self):
        for number in range(20):
            self.streams("append", "a/b", "--item", f"item {number}\n")
        path = pathlib.Path(self.folder, ".weir/streams/a%2fb@0000000000000000.log")
        self.assertRegex(self.streams("fsck").stdout.decode(), r"^1 streams, 1 files, 20 items, \d+ bytes: sound\n$")
        whole = path.read_bytes()
        chance = random.Random(SEED)
        last = whole.rindex(b"WRec")
        for _ in range(20):
            place = chance.randrange(last)
            bad = bytearray(whole)
            bad[place] ^= 1 << chance.randrange(8)
            path.write_bytes(bad)
            done = self.streams("fsck", status=1)
            self.assertRegex(done.stdout.decode(), r"^damaged\ta%2fb@0+\.log\t\d+\t.*; lost: ", f"seed {SEED}, byte {place}")
            self.assertEqual(path.read_bytes(), bad)
        # What is before the damage is read, and then it is said.
        bad = bytearray(whole)
        bad[whole.index(b"item 7")] ^= 1
        path.write_bytes(bad)
        done = self.streams("fsck", status=1)
        self.assertIn(b"lost: position 7, and the store reads nothing behind them; can be read: positions 0 to 6", done.stdout)
        self.assertIn(b"is damaged at offset", self.streams("append", "a/b", "--item", "x", status=1).stderr)
        self.assertEqual(path.read_bytes(), bad)

    def test_a_folder_that_is_read_only(self):
        self.streams("append", "a", "--item", "x\n")
        os.chmod(self.folder, 0o755)
        for path in [pathlib.Path(self.folder, ".weir"), *pathlib.Path(self.folder, ".weir").rglob("*")]:
            os.chmod(path, 0o555 if path.is_dir() else 0o444)
        before = files(self.folder)
        user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if user and not os.access(binary(), os.X_OK):
            self.skipTest("the binary is not everybody's")
        done = streams(self.folder, "cat", "a", **user)
        self.assertEqual((done.returncode, done.stdout), (0, b"x\n"), done.stderr)
        self.assertEqual(streams(self.folder, "ls", **user).returncode, 0)
        self.assertEqual(streams(self.folder, "fsck", **user).returncode, 0)
        for verb in (["append", "a", "--item", "y"], ["append", "b", "--item", "y"], ["rm", "a"]):
            done = streams(self.folder, *verb, **user)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"no permission", done.stderr)
        self.assertEqual(files(self.folder), before)

    def refused(self, store, *, made=b"", **options):
        """Appends until the disk takes no more; what was acknowledged is there, whole, and is all there is."""
        number, acknowledged = 0, 0
        line = b"%06d " + b"z" * 3000 + b"\n"
        while number < 5_000:
            process = start(self.folder, "append", "--store", store, "full", stdin=subprocess.PIPE, **options)
            with process:
                try:
                    while number < 5_000:
                        process.stdin.write(line % number)
                        process.stdin.flush()
                        answer = process.stdout.readline()
                        if not answer:
                            break
                        number = acknowledged = int(answer)
                except BrokenPipeError:
                    pass
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                self.assertEqual(process.wait(DEADLINE), 1)
                said = process.stderr.read()
            break
        self.assertGreater(acknowledged, 10)
        done = self.streams("cat", "--store", store, "full")
        self.assertEqual(done.stdout, b"".join(line % n for n in range(acknowledged)))
        self.assertNotIn(b"damaged", self.streams("fsck", "--store", store).stdout)
        return said

    def test_a_file_that_may_not_grow(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        said = self.refused("limited", preexec_fn=limit, restore_signals=False)
        self.assertIn(b"no space left", said)
        # And goes on where there is room.
        self.assertTrue(self.streams("append", "--store", "limited", "full", "--item", "more").stdout)

    def test_a_disk_that_is_full(self):
        small = pathlib.Path(self.folder, "small")
        with small_disk(self, small, "512k"):
            said = self.refused(small / "streams")
            self.assertIn(b"no space left", said)
            # A new stream has no room either; one that is removed makes some.
            for store in (small / "streams",):
                self.streams("rm", "--store", store, "full")
                self.streams("append", "--store", store, "next", "--item", "fits")


class Killed(Case):
    """SIGKILL at random moments: what was acknowledged is there once and in order, what was not is there whole or not at all.
    WEIR_KILLS=2000 makes so many (default 30), WEIR_SEED repeats the choice of moments."""

    LINE = re.compile(rb"(\d+) (\d+) (x*)\n")

    def test_every_acknowledged_item_survives(self):
        problems, lock, done = [], threading.Lock(), [0, 0]

        def work(worker):
            chance = random.Random(f"{SEED}/{worker}")
            try:
                while not problems:
                    with lock:
                        if done[0] >= KILLS:
                            return
                        stream = done[0]
                    name = f"w{worker}/{stream // 40}"
                    items = self.life(chance, name)
                    with lock:
                        done[0] += 1
                        done[1] += items
            except Exception as problem:  # told by the test's own thread
                problems.append(problem)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertFalse(problems, f"seed {SEED}: {problems}")
        self.assertGreaterEqual(done[0], KILLS)
        print(f"killed {done[0]} times, {done[1]} items acknowledged (seed {SEED})", flush=True)
        for worker in range(2):
            self.assertNotIn(b"damaged", self.streams("fsck", "--store", f"store{worker}").stdout)

    def life(self, chance, name):
        """One writer's: begun behind what the ones before it left, and killed. How many items it was promised."""
        store = f"store{name[1]}"
        before = self.found(store, name)
        writer = start(self.folder, "append", "--store", store, name, stdin=subprocess.PIPE)
        # Sometimes before it is ready, mostly somewhere between acknowledgements.
        timer = threading.Timer(chance.choice((chance.uniform(0, 0.05), chance.uniform(0.03, 0.25))), writer.kill)
        timer.start()
        acknowledged = before
        next_item = before
        with writer:
            with contextlib.suppress(BrokenPipeError):
                while True:
                    lines = []
                    for _ in range(chance.choice((1, 1, 2, 20, 300))):
                        size = chance.choice((0, 10, 100, 2000))
                        lines.append(b"%d %d %s\n" % (next_item, size, b"x" * size))
                        next_item += 1
                    writer.stdin.write(b"".join(lines))
                    writer.stdin.flush()
                    while acknowledged < next_item:
                        answer = writer.stdout.readline()
                        if not answer.endswith(b"\n"):
                            break
                        acknowledged = int(answer)
                    if acknowledged < next_item:
                        break
            # What it did not take is lost with it.
            with contextlib.suppress(BrokenPipeError):
                writer.stdin.close()
        timer.join()
        writer.wait()
        assert writer.returncode == -signal.SIGKILL, writer.returncode
        there = self.found(store, name)
        assert acknowledged <= there <= next_item, f"{name}: {acknowledged} acknowledged, {there} there, {next_item} asked for"
        return acknowledged - before

    def found(self, store, name):
        """How many items are there: all whole, in order, none twice."""
        done = streams(self.folder, "cat", "--store", store, name)
        if done.returncode:
            assert b"no stream" in done.stderr or b"no store" in done.stderr or b"no such file" in done.stderr, done.stderr
            return 0
        place = count = 0
        while place < len(done.stdout):
            line = self.LINE.match(done.stdout, place)
            assert line and int(line[1]) == count and int(line[2]) == len(line[3]), f"{name}: item {count}: {done.stdout[place:place + 60]}"
            place, count = line.end(), count + 1
        return count


if __name__ == "__main__":
    unittest.main()
