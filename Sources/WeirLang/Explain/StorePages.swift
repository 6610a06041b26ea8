/// Pages of what a store of streams answers: to programs as `Err`, over HTTP as `error.code`, from `weir streams` in words.
extension ErrorPage {
  static let store = ##"""
    === StreamNotFound no such stream
    Nothing of that name is in this store: it was never made, was deleted, or its lifetime is over.
    --- none
    It takes a store that lacks what is asked for: `weir streams cat nothing-of-this-name`.
    --- why
    An empty answer would look like a stream in which nothing has been said yet. `weir streams ls` lists those that are there; another store is meant by `--store`.

    === StreamGone a stream that was deleted, and is kept for its forks
    Its own name no longer reads or writes it. Its forks are read as before.
    --- none
    It takes a stream that was forked and then deleted.
    --- why
    Its items belong to its forks as well. When the last of them is deleted they go, and the name is free.

    === StreamConflict a stream of that name is there, and is another one
    Making a stream again is fine if it would be the same: content type, lifetime, end and origin.
    --- none
    It takes two that want one name for different streams.
    --- why
    Whoever made it first relies on what it is. Choose another name, or delete it.

    === StreamEnded a stream that is closed or was aborted
    Nothing is appended behind the end of a stream.
    --- none
    It takes a writer and somebody who has closed its stream.
    --- why
    Readers have been told that this was all. The end is kept with the reason: `weir streams ls` shows it.

    === OffsetBeyondTail a place behind the end
    What is to be read begins behind the last item there is.
    --- none
    It takes a reader that remembers a place in a stream which was deleted and made anew, or restored from a copy.
    --- why
    Waiting there would skip what is written until then. Read from the start, or from the tail as it is.

    === BadFork a stream cannot be forked there
    A fork begins at an item that its source has, and forks of forks have a limit.
    --- none
    It takes a fork behind the end of its source.
    --- why
    What comes before a fork is the source's own; it cannot be made later.

    === OtherContentType an append of another type than the stream's
    A stream has one content type, for ever; parameters such as a charset may differ.
    --- none
    It takes a stream of JSON and a writer of text.
    --- why
    Readers were promised the type. Make another stream for the other content.

    === StaleProducer a writer that was replaced
    Somebody goes on under the same producer id with a greater epoch: what the earlier one sends is refused.
    --- none
    It takes two processes with one producer id (docs/durable-http.md).
    --- why
    Of two that believe they are the writer, the one that began last is. To take over from it, begin a greater epoch at sequence 0.

    === ProducerGap an append of a producer is missing
    The sequence of a producer goes up by one with each append. One was left out.
    --- none
    It takes a producer that sends 7 behind 5.
    --- why
    What is missing may still be on its way: taking 7 first would lose the order for ever. Send what is missing, or begin a greater epoch.

    === BadFirstSequence a new epoch does not begin at 0
    A producer that begins a new epoch counts from 0.
    --- none
    It takes a producer that begins in the middle.
    --- why
    Nobody could tell whether something before it was lost.

    === SequenceRegression a Stream-Seq that does not go up
    Appends with a `Stream-Seq` must come in its order; this one is not behind the last that was taken.
    --- none
    It takes two writers that coordinate by `Stream-Seq`, and one that is late.
    --- why
    It is how such writers find out that another one was faster.

    === StoreFull no room
    The disk, the memory that a store may use, or the items that a stream may have are used up. What was acknowledged is there; this append is not.
    --- none
    It takes a full disk.
    --- why
    Dropping something old to make room is not the store's to decide. Delete streams, give them a lifetime (`--keep`), or raise the limit. Deleting works on a full disk.

    === AppendTooLarge more than one append can hold
    One append is kept whole or not at all, and 64 MiB is the most.
    --- none
    It takes a request of more than that.
    --- why
    It stands in memory and in one record. Split it into several appends.

    === StreamDamaged what is kept is not what was written
    A checksum does not fit from some place on: a disk, a copy or somebody's editor has changed the file.
    --- none
    It takes a file that was changed behind the store's back.
    --- why
    What comes before the place can be read and forked. Nothing is invented behind it, and nothing is appended there. `weir streams fsck` says what is wrong.

    === BadStreamName a name that no stream can have
    1 to 16 parts joined by `/`, at most 255 bytes together, without control characters, `:` and `\`, and no part is `.` or `..`.
    --- none
    `weir streams append ../x --item a` asks for one.
    --- why
    Names become file names and URLs. What could leave the folder, or be another name somewhere else, is refused everywhere.

    === StoreHeld another process writes to this folder
    One process writes to a store in files; others may read beside it.
    --- none
    It takes two processes and one folder.
    --- why
    Two writers would overwrite each other. Stop the other one, use its server over HTTP, keep these streams elsewhere (`--store FOLDER`), or use a Redis, which takes many.

    === RunTakenOver another process goes on with this run
    In a Redis whoever takes a run up last has it. This process was slower, and no longer writes to the run's streams.
    --- none
    It takes a Redis and two processes that do one run.
    --- why
    Two that write one answer would mix it. This one ends nothing of the run: the other one does.

    === StoreUnavailable the store cannot be used
    Its folder is none, may not be written, was removed while it was used; its Redis does not answer; or a file fails. The message says which.
    --- none
    It takes a folder without permission: `weir streams append --store /dev/null a --item x`.
    --- why
    What cannot be kept is not acknowledged, and a run that cannot be kept does not start.
    """##
}
