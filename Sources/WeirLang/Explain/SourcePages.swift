/// Pages of failures at run time around sources, event loops, recordings and programs that are started.
extension ErrorPage {
  static let sources = ##"""
    === NotRecorded the recording does not have what was opened
    A replayed program opened a source of std/stream that its recording has no further one of.
    --- none
    It takes a recording, made by `weir run --record`.
    --- why
    The recording was made by another program, or by a run that went another way. Connections answer `ConnectionFailed` instead.

    === NoHandler an event loop without a handler
    `runEventLoop` was called for a connection that nobody gave a handler to.
    --- none
    It takes a server to connect to.
    --- why
    Events would be thrown away. Register one first: `onEvent(conn, (event) => …)`.

    === InputTaken two readers of standard input
    A source of std/stream reads standard input, and another one was asked for.
    --- wrong
    import std/stream (asyncReadStdinLines, cancel)

    func main() {
      let first = asyncReadStdinLines("first", 1)
      let second = asyncReadStdinLines("second", 1)
      cancel(first)
      cancel(second)
    }
    --- says
    another source reads standard input
    --- right
    import std/stream (asyncReadStdinLines, cancel)

    func main() {
      let first = asyncReadStdinLines("first", 1)
      cancel(first)
      let second = asyncReadStdinLines("second", 1)
      cancel(second)
    }
    --- why
    There is one input, and lines would go to whoever is faster. Cancel the first source before making another.

    === NoSources nothing to read
    An event loop was given an empty list of sources.
    --- wrong
    import std/stream (selectEvents)

    func main() {
      selectEvents([], (_) => true)
    }
    --- says
    there are no sources to read: the list is empty
    --- right
    import std/stream (selectEvents, timerSource)

    func main() {
      selectEvents([timerSource("tick", 1, 0)], (_) => false)
    }
    --- why
    A loop over nothing would be over before it began, and whoever waits for its first event would never know.

    === SourceTwice one source twice in a list
    A list of sources for an event loop has the same one in two places.
    --- wrong
    import std/stream (selectEvents, timerSource)

    func main() {
      let tick = timerSource("tick", 1, 0)
      selectEvents([tick, tick], (_) => false)
    }
    --- says
    the same source is in the list twice
    --- right
    import std/stream (selectEvents, timerSource)

    func main() {
      selectEvents([timerSource("tick", 1, 0), timerSource("tock", 1, 0)], (_) => false)
    }
    --- why
    An event is delivered once, and the priority is the source's own.

    === SourceBusy a source that another loop is reading
    Sources are lent to one event loop at a time.
    --- wrong
    import std/stream (selectEvents, timerSource)

    func main() {
      let tick = timerSource("tick", 1, 0)
      selectEvents([tick], (_) => {
        selectEvents([tick], (_) => false)
        false
      })
    }
    --- says
    another event loop is reading this source
    --- right
    import std/stream (selectEvents, timerSource)

    func main() {
      let tick = timerSource("tick", 1, 0)
      selectEvents([tick], (_) => false)
      selectEvents([tick], (_) => false)
    }
    --- why
    When the first loop has ended, a later one reads on where it stopped.

    === BadRecording a file that is no recording
    `weir run --replay` was given a file that it cannot play; the message names the line.
    --- none
    It takes a file beside the program.
    --- why
    Recordings are made by `weir run --record`. A file is read to its end before anything runs, so a damaged one is not found out half way.

    === BadAllowlist an entry of the allow-list that is no program
    An entry is a name, an absolute path, or one of these with leading arguments behind colons: `git:status`.
    --- none
    The list is `--process-allowlist`, or `process_allowlist` in weir.toml.
    --- why
    An entry that means nothing would allow nothing, and its author thinks otherwise.

    === ProgramNotFound there is no such program
    A program to start was found neither as a path nor by its name in a folder of `PATH`.
    --- wrong
    import std/process (spawnProcess)

    func main() {
      let handle = spawnProcess("no-such-program", [])
    }
    --- says
    there is no program "no-such-program"
    --- right
    import std/process (closeProcessStdin, spawnProcess)

    func main() {
      let handle = spawnProcess("cat", [])
      closeProcessStdin(handle)
    }
    --- why
    No shell is between: arguments are a list of their own, and relative folders of `PATH` are passed over. `exec` answers
    `NotFound` instead of ending the program.

    === NotAllowed a program that the allow-list does not have
    With `--process-allowlist` only the programs in it may be started, some with certain first arguments only.
    --- none
    It takes an allow-list.
    --- why
    The message names what was refused. `exec` answers `NotAllowed` instead of ending the program.

    === ProgramDenied a program that this user may not run
    The file is there, but it may not be executed by this user.
    --- none
    It takes such a file.
    --- why
    `chmod +x` makes a file of one's own a program.

    === IsFolder a folder instead of a program
    What was to be started is a folder.
    --- wrong
    import std/process (spawnProcess)

    func main() {
      let handle = spawnProcess("/", [])
    }
    --- says
    / is a folder, not a program
    --- right
    import std/process (exec)

    func main() {
      match exec("ls", ["/"]) {
        Ok(done) => println(done.exitCode)
        Err(why) => println(why)
      }
    }
    --- why
    A folder is an argument for other programs.

    === InterpreterMissing the program that runs a script is missing
    The first line of a script names a program, and that is not there.
    --- none
    It takes such a script.
    --- why
    `#!/usr/bin/env python3` is more often right than `#!/usr/bin/python`. Line ends of Windows behind the name have the same effect.

    === NotExecutable a file that is no program here
    The system cannot run the file: it is for another machine, or a script without a first line that names what runs it.
    --- none
    It takes such a file.
    --- why
    A shell guesses and runs a script without `#!` itself; no shell is between.

    === ArgumentsTooLarge more than a program can be given
    Arguments and environment together are larger than what the system hands to a program.
    --- none
    How much that is differs from system to system.
    --- why
    What is large goes through standard input or a file.

    === Unavailable there is no room for another program
    As many processes of this program run as may at a time, or the system has no more.
    --- none
    It takes many processes, or a system at its limit.
    --- why
    `--process-limit` sets the first. What has ended counts no more.

    === ProcessError the system could not start a program
    The message has what the system said.
    --- none
    The usual reasons have codes of their own.
    --- why
    `exec` answers `Failed` instead of ending the program.
    """##
}
