"""Names → blocks, with real files, pipes and processes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from piwik_import import source
from piwik_import.errors import SourceError
from piwik_import.source import Block, Source, find

BOM = b"\xef\xbb\xbf"
OLD = 1_600_000_000  # no source that changed then can still be growing
ROOT = Path(__file__).parents[1]
THREE = b"one\ntwo\nthree\n"


def zstd_compress(data: bytes) -> bytes:
    zstd = pytest.importorskip("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})  # as the command does


PACKERS = {
    "gzip": gzip.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": zstd_compress,
}
each_compression = pytest.mark.parametrize("compression", PACKERS)


@pytest.fixture
def log(tmp_path):
    """Return a function that writes a file which nobody has touched for years, and opens it as a source."""

    def write(data: bytes, name: str = "access.log", changed: float = OLD) -> Source:
        path = tmp_path / name
        path.write_bytes(data)
        os.utime(path, (changed, changed))
        return Source(str(path))

    return write


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A file for the property tests, which may not have a new one for each example."""
    return tmp_path_factory.mktemp("source") / "scratch.log"


@contextmanager
def pipe(*chunks: bytes, wait: float = 0.0):
    """A pipe, as the shell's <(…) gives it, into which `chunks` are written one after the other."""

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as file:
            for chunk in chunks:
                file.write(chunk)
                time.sleep(wait)

    reader, writer = os.pipe()
    thread = threading.Thread(target=write)
    thread.start()
    yield f"/dev/fd/{reader}"
    thread.join()
    os.close(reader)


@contextmanager
def other_process(code: str):
    """Python that runs `code` with a `source` which is its standard input."""
    code = f"from piwik_import.source import find\nsource = find(['-'])[0]\n{code}"
    command = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as it:
        yield it
    assert it.returncode == 0


def text(blocks) -> bytes:
    return b"".join(block.data for block in blocks)


def lines(blocks) -> list[tuple[int, int, bytes, bool]]:
    """Return the lines as (number, end, text without leading NULs, cut?), and check that the blocks are right."""
    found = []
    for block in blocks:
        assert block.data
        pieces = [block.data] if block.cut else split(block.data)
        assert block.lines == len(pieces)
        end = block.offset
        for number, piece in enumerate(pieces, block.line):
            end = block.end if block.cut else end + len(piece)
            found.append((number, end, piece.lstrip(b"\0"), block.cut))
        assert end == block.end
    return found


def split(data: bytes) -> list[bytes]:
    """Cut after each newline, and nowhere else."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + [line for line in data.split(b"\n")[-1:] if line]


def lines_of(data: bytes, limit: int) -> list[tuple[int, int, bytes, bool]]:
    """What `lines` must find in a source that holds `data`, by the simplest means."""
    end = len(BOM) if data.startswith(BOM) else 0
    expected = []
    for number, raw in enumerate(split(data[end:]), 1):
        end += len(raw)
        line = raw.lstrip(b"\0")
        cut = len(line) > limit
        if line:
            expected.append((number, end, line[: min(limit, source.SHOWN)] if cut else line, cut))
    return expected


# Logs that are mostly the difficult cases; and any bytes at all.
difficult = st.lists(st.sampled_from([b"\n", b"\0", b"a", b"\r\n", b"bcdefgh", b"\xff", b"\n\0\0", BOM])).map(b"".join)
anything = difficult | st.binary()
small = st.integers(1, 40)


def plain(data: bytes) -> bool:
    return data[:2] not in (b"\x1f\x8b", b"BZ", b"PK", b"\xfd7", b"\x28\xb5", b"\xff\xfe", b"\xfe\xff")


# Properties


@given(anything, small, small)
@example(BOM + b"a\n", 1, 1)
@example(b"\0" * 50 + b"abc\n\0\0\0\0\0\0\0\0d\n\0\0\0", 7, 5)
def test_any_bytes_in_blocks_of_any_size_are_the_same_lines(scratch, data, size, limit):
    assume(plain(data))
    scratch.write_bytes(data)
    os.utime(scratch, (OLD, OLD))
    assert lines(Source(str(scratch)).blocks(size=size, limit=limit)) == lines_of(data, limit)


@given(anything, small, small)
def test_reading_again_from_the_end_of_any_line_loses_and_repeats_nothing(scratch, data, size, limit):
    assume(plain(data))
    scratch.write_bytes(data)
    os.utime(scratch, (OLD, OLD))
    log = Source(str(scratch))
    whole = lines(log.blocks(size=size, limit=limit))
    for done, (number, end, _, _) in enumerate(whole, 1):
        assert lines(log.blocks(end, number + 1, size=limit, limit=limit)) == whole[done:]


@given(anything, small, st.booleans())
def test_a_pipe_gives_the_lines_that_a_file_does_whether_its_head_was_read_or_not(data, limit, ask):
    assume(plain(data))
    with pipe(data) as path:
        log = Source(path)
        if ask:
            assert log.head() == data.removeprefix(BOM).lstrip(b"\0")
        assert lines(log.blocks(limit=limit)) == lines_of(data, limit)


@given(st.sampled_from(sorted(PACKERS)), st.lists(difficult, min_size=1, max_size=4), small, st.data())
def test_compressed_streams_in_a_row_are_the_lines_of_one_log(scratch, compression, parts, limit, data):
    assume(plain(b"".join(parts)))
    padding = data.draw(st.sampled_from([b"", bytes(8)]))
    scratch.write_bytes(b"".join(PACKERS[compression](part) + padding for part in parts))
    log = Source(str(scratch))
    whole = lines(log.blocks(limit=limit))
    assert whole == lines_of(b"".join(parts), limit)
    if whole:
        number, end, _, _ = data.draw(st.sampled_from(whole))
        assert lines(log.blocks(end, number + 1, limit=limit)) == whole[number:]


# Blocks


def test_blocks_hold_whole_lines_and_say_where_they_lie(log):
    assert list(log(THREE).blocks()) == [Block(THREE, 0, 14, 1, 3)]
    assert list(log(THREE).blocks(4, 2)) == [Block(b"two\nthree\n", 4, 14, 2, 2)]


def test_a_large_file_comes_in_blocks_of_about_a_mebibyte(log):
    data = b"".join(b"line %d\n" % n for n in range(500_000))
    blocks = list(log(data).blocks())
    assert text(blocks) == data
    assert all(before.end == after.offset for before, after in pairwise(blocks))
    assert all(before.line + before.lines == after.line for before, after in pairwise(blocks))
    assert max(len(block.data) for block in blocks) <= source.BLOCK_SIZE + 20


def test_lines_end_at_a_newline_only(log):
    assert lines(log(b"a\r\nb\rc\x0bd\x0ce\x85f\xe2\x80\xa8g\n\n").blocks()) == [
        (1, 3, b"a\r\n", False),
        (2, 17, b"b\rc\x0bd\x0ce\x85f\xe2\x80\xa8g\n", False),
        (3, 18, b"\n", False),
    ]


def test_an_empty_file_has_no_blocks_and_no_head(log):
    empty = log(b"")
    assert (list(empty.blocks()), empty.head(), empty.unfinished) == ([], b"", 0)


def test_a_file_shorter_than_the_offset_has_nothing_more(log):
    assert list(log(THREE).blocks(1000)) == []


def test_the_end_is_where_it_is_when_it_is_reached(log):
    growing = log(THREE)
    blocks = growing.blocks(size=4)
    first = next(blocks)
    with open(growing.name, "ab") as file:
        file.write(b"four\n")
    assert first.data + text(blocks) == THREE + b"four\n"


def test_position_and_size_count_bytes_on_disk(log):
    packed = gzip.compress(THREE * 10_000)
    plain, small = log(THREE), log(packed, "b")
    assert (plain.size, plain.position, plain.compression) == (len(THREE), 0, None)
    list(plain.blocks(4))
    list(small.blocks(4))
    assert plain.position == len(THREE)
    assert (small.size, small.position, small.compression) == (len(packed), len(packed), "gzip")


# The last line


def test_a_last_line_of_an_old_file_needs_no_newline(log):
    old = log(b"one\ntw", changed=time.time() - 61)
    assert text(old.blocks()) == b"one\ntw"
    assert old.unfinished == 0


def test_a_last_line_that_may_still_be_being_written_waits_for_its_end(log):
    young = log(b"one\ntw", changed=time.time() - 50)
    assert list(young.blocks()) == [Block(b"one\n", 0, 4, 1, 1)]
    assert young.unfinished == 2
    with open(young.name, "ab") as file:
        file.write(b"o\n")
    assert list(young.blocks(4, 2)) == [Block(b"two\n", 4, 8, 2, 1)]
    assert young.unfinished == 0


@each_compression
def test_a_last_line_that_is_compressed_needs_no_newline(log, compression):
    packed = log(PACKERS[compression](b"one\ntw"), changed=time.time())
    assert text(packed.blocks()) == b"one\ntw"
    assert packed.unfinished == 0


def test_the_end_of_a_pipe_ends_the_last_line():
    with pipe(b"one\ntw") as path:
        assert text(Source(path).blocks()) == b"one\ntw"


# Long lines, NULs, marks


@pytest.mark.parametrize("ending", [b"\n", b"\nnext\n", b""], ids=["with newline", "with next line", "at the end"])
def test_a_line_over_the_limit_is_cut_and_its_rest_skipped(log, ending):
    long = b"x" * (3 * source.LINE_LIMIT)
    blocks = list(log(b"first\n" + long + ending).blocks())
    cut = next(block for block in blocks if block.cut)
    end = 6 + len(long) + (ending[:1] == b"\n")
    assert cut == Block(long[: source.SHOWN], 6, end, 2, 1, cut=True)
    assert text(block for block in blocks if not block.cut) == b"first\n" + ending[1:]
    assert blocks[-1].line == (3 if ending[1:] else 2)


def test_a_line_just_at_the_limit_is_whole(log):
    line = b"x" * (source.LINE_LIMIT - 1) + b"\n"
    assert [block.cut for block in log(b"a\n" + line + b"x" + line).blocks()] == [False, False, True]


def test_a_long_line_that_may_still_be_being_written_waits_too(log):
    young = log(b"a\n" + b"x" * (2 * source.LINE_LIMIT), changed=time.time())
    assert text(young.blocks()) == b"a\n"
    assert young.unfinished == 2 * source.LINE_LIMIT


def test_a_line_of_many_mebibytes_takes_little_memory(log):
    long = log(gzip.compress(b"x" * (64 << 20) + b"\nnext\n", 1))
    tracemalloc.start()
    found = lines(long.blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line[2] for line in found] == [b"x" * source.SHOWN, b"next\n"]
    assert peak < 8 << 20


def test_gigabytes_of_nuls_before_the_first_line_are_jumped(tmp_path):
    path = tmp_path / "sparse.log"
    with open(path, "wb") as file:
        file.truncate(5 << 30)
        file.seek(0, os.SEEK_END)
        file.write(THREE)
    sparse = Source(str(path))
    begin = time.process_time()
    assert sparse.head() == THREE
    assert list(sparse.blocks()) == [Block(THREE, 5 << 30, (5 << 30) + len(THREE), 1, 3)]
    if sys.platform == "linux":
        assert time.process_time() - begin < 1


def test_nuls_that_are_really_there_are_skipped_in_little_memory(log):
    zeros = 64 << 20
    packed = log(gzip.compress(bytes(zeros) + THREE, 1))
    tracemalloc.start()
    assert packed.head() == THREE
    assert list(packed.blocks()) == [Block(THREE, zeros, zeros + len(THREE), 1, 3)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_file_of_nuls_only_has_no_lines(log):
    zeros = log(bytes(3 << 20), changed=time.time())
    assert (list(zeros.blocks()), zeros.unfinished, zeros.head()) == ([], 0, b"")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_is_no_part_of_the_first_line(log, pack):
    marked = log(pack(BOM + THREE))
    assert list(marked.blocks()) == [Block(THREE, 3, 17, 1, 3)]
    assert list(marked.blocks(7, 2)) == [Block(b"two\nthree\n", 7, 17, 2, 2)]
    assert marked.head() == THREE


@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_utf_16_is_named_with_what_to_do(log, encoding, pack):
    wide = log(pack("\ufeffGET /\n".encode(encoding)))
    for read in (wide.head, lambda: list(wide.blocks())):
        with pytest.raises(SourceError, match=rf"access.log: is written in {encoding}; .*iconv -f {encoding}"):
            read()


# Compression


@each_compression
@pytest.mark.parametrize("name", ["access.log", "x.gz.13", "plain.bz2"])
def test_compression_is_known_by_the_first_bytes_whatever_the_name(log, compression, name):
    packed = log(PACKERS[compression](THREE), name)
    assert packed.compression == compression
    assert packed.head(7) == b"one\ntwo"
    assert list(packed.blocks(4, 2)) == [Block(b"two\nthree\n", 4, 14, 2, 2)]


@pytest.mark.parametrize("data", [b"BZh.example 192.0.2.1 - -\n", b"\x1f\n", b"PK\n", b"P*\n"])
def test_a_log_that_only_looks_compressed_is_read_as_it_is(log, data):
    assert text(log(data, "access.log.gz").blocks()) == data


@each_compression
@pytest.mark.parametrize("missing", [None, "isal.isal_zlib"])
def test_much_compressed_text_comes_back_as_it_was(log, compression, missing, monkeypatch):
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    data = b"".join(b"%d %x\n" % (n, hash((n,))) for n in range(60_000))
    half = len(data) // 2
    packed = log(PACKERS[compression](data[:half]) + PACKERS[compression](data[half:]))
    assert text(packed.blocks()) == data
    assert text(packed.blocks(half)) == data[half:]


@each_compression
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_what_can_be_unpacked_of_a_truncated_file_is_read_before_the_error(log, compression, keep):
    data = b"".join(b"%d %x\n" % (n, hash((n,))) for n in range(60_000))
    packed = PACKERS[compression](data)
    broken = log(packed[: int(len(packed) * keep)])
    blocks = []
    with pytest.raises(SourceError, match=rf"access.log: the {compression} data ends too early, after [\d,]+ unpacked"):
        blocks.extend(broken.blocks())  # extends as it goes
    got = text(blocks)
    assert data.startswith(got)
    assert not got or got.endswith(b"\n")
    assert len(got) + broken.unfinished > len(data) * (keep - 0.2)


def test_every_byte_of_a_truncated_gzip_counts(log):
    writer = gzip.zlib.compressobj(wbits=31)
    begun = log(writer.compress(b"one\ntw") + writer.flush(gzip.zlib.Z_SYNC_FLUSH))
    assert begun.head() == b"one\ntw"
    blocks = begun.blocks()
    assert next(blocks) == Block(b"one\n", 0, 4, 1, 1)
    with pytest.raises(SourceError, match="ends too early, after 6 unpacked bytes"):
        next(blocks)
    assert begun.unfinished == 2


@each_compression
def test_something_else_after_the_compressed_data_is_said_after_all_of_it_was_read(log, compression):
    followed = log(PACKERS[compression](THREE) + b"this was appended by mistake\n")
    blocks = followed.blocks()
    assert next(blocks).data == THREE
    with pytest.raises(SourceError, match=f"access.log: the {compression} data is damaged after 14 unpacked bytes"):
        next(blocks)


@each_compression
def test_damage_in_the_middle_is_an_error_by_name_and_never_a_crash(log, compression):
    data = os.urandom(300_000).hex().encode() + b"\n"
    packed = bytearray(PACKERS[compression](data * 3))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(SourceError, match=f"access.log: the {compression} data"):
        list(log(bytes(packed)).blocks())


def test_a_zip_archive_is_refused_at_once(log):
    with pytest.raises(SourceError, match=r"access.log: is a zip archive; unpack it first"):
        log(b"PK\x03\x04whatever")


def test_without_its_library_zstd_says_what_to_install(log, monkeypatch):
    packed = log(b"\x28\xb5\x2f\xfd whatever")
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SourceError, match=r"pip install 'piwik-import\[zstd\]'"):
        packed.head()


def test_no_library_is_loaded_before_a_log_needs_it():
    code = "import sys; before = set(sys.modules); import piwik_import.source; print(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    assert not {"bz2", "lzma", "isal", "backports.zstd", "compression.zstd"} & set(run.stdout.split())


# Pipes


def test_standard_input_is_read_whole():
    data = THREE * 100_000
    with other_process("print(source.name, source.size, sum(b.lines for b in source.blocks()), source.position)") as it:
        out, _ = it.communicate(data)
    assert out.split() == [b"stdin", b"None", b"300000", str(len(data)).encode()]


def test_compressed_standard_input_is_unpacked():
    with other_process("print(len(source.head()), source.compression, [*source.blocks()][0].data)") as it:
        out, _ = it.communicate(gzip.compress(THREE))
    assert out.decode().split(" ", 2) == ["14", "gzip", f"{THREE}\n"]


def test_closed_standard_input_is_an_error_by_name():
    code = "from piwik_import.source import find; find(['-'])"
    command = ["sh", "-c", f'exec "{sys.executable}" -c "{code}" <&-']
    run = subprocess.run(command, stderr=subprocess.PIPE, cwd=ROOT, check=False)
    assert b"SourceError: stdin: cannot be read" in run.stderr


@pytest.mark.parametrize("compressed", [False, True])
def test_a_slow_pipe_hands_over_lines_as_they_come(compressed):
    writer = gzip.zlib.compressobj(wbits=31)

    def pack(data: bytes) -> bytes:
        return writer.compress(data) + writer.flush(gzip.zlib.Z_SYNC_FLUSH) if compressed else data

    with other_process("print(source.head())\nfor block in source.blocks(): print(block.data)") as it:
        for begun, ended, expected in [
            (b"o", b"ne\n", [b"one\n", b"one\n"]),  # from head() and from blocks()
            (b"two\nth", b"", [b"two\n"]),
            (b"r", b"ee\nfour\n", [b"three\nfour\n"]),
        ]:
            it.stdin.write(pack(begun))
            it.stdin.flush()
            it.stdin.write(pack(ended))
            it.stdin.flush()
            begin = time.monotonic()
            for line in expected:
                assert it.stdout.readline() == f"{line}\n".encode()
            assert time.monotonic() - begin < 5  # and would be never; the process has to start, too
        it.stdin.write(writer.flush() if compressed else b"")
        it.stdin.close()


def test_a_pipe_that_trickles_is_not_waited_for_until_a_block_is_full():
    with pipe(*[b"line\n"] * 16, wait=0.1) as path:
        blocks = list(Source(path).blocks())
    assert text(blocks) == b"line\n" * 16
    assert len(blocks) >= 2


def test_the_head_of_a_pipe_waits_for_a_whole_line():
    with pipe(b"o", b"n", b"e\ntw", b"o\n", wait=0.4) as path:
        log = Source(path)
        assert log.head() == b"one\ntw"
        assert text(log.blocks()) == b"one\ntwo\n"


def test_a_named_pipe_is_opened_when_it_is_read_and_skipped_up_to_the_offset(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (log,) = find([str(fifo)])
    thread = threading.Thread(target=fifo.write_bytes, args=[THREE])
    thread.start()
    assert (log.name, log.size, log.head()) == (str(fifo), None, THREE)
    assert list(log.blocks(4, 2)) == [Block(b"two\nthree\n", 4, 14, 2, 2)]
    thread.join()


def test_a_pipe_is_read_once_only():
    with pipe(THREE) as path:
        log = Source(path)
        assert text(log.blocks()) == THREE
        assert log.head() == b""
        with pytest.raises(SourceError, match=f"{path}: is a pipe and cannot be read again"):
            next(log.blocks())


def test_the_head_of_a_pipe_can_be_asked_again_before_and_after():
    with pipe(THREE) as path:
        log = Source(path)
        assert (log.head(), log.head(3)) == (THREE, b"one")
        assert text(log.blocks()) == THREE
        assert log.head() == THREE


# Names


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of logs, which is the current one."""
    for name in ["b.log", "a.log", "a.log.1.gz", "nginx/c.log", "nginx/old/d.log", ".hidden", ".git/e.log"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() + b"\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["b.log", "a.log"], "b.log a.log"),
        (["./b.log"], "./b.log"),
        (["*.log"], "a.log b.log"),
        (["a.log*"], "a.log a.log.1.gz"),
        (["?.log"], "a.log b.log"),
        (["[b-z].log"], "b.log"),
        (["nginx"], "nginx/c.log nginx/old/d.log"),
        (["nginx/"], "nginx/c.log nginx/old/d.log"),
        (["n*"], "nginx/c.log nginx/old/d.log"),
        (["."], "./a.log ./a.log.1.gz ./b.log ./nginx/c.log ./nginx/old/d.log"),
        (["**/*.log"], "a.log b.log nginx/c.log nginx/old/d.log"),
        (["nginx/**/*.log"], "nginx/c.log nginx/old/d.log"),
        (["n*x/**/old/?.log"], "nginx/old/d.log"),
        (["nginx/**"], "nginx/c.log nginx/old/d.log"),
        (["**/old/**/*.log"], "nginx/old/d.log"),
        (["b.log", "*.log", "a.log"], "b.log a.log"),
        ([], ""),
    ],
    ids=" ".join,
)
def test_names_stand_for_files_folders_and_patterns(names, found):
    assert [log.name for log in find(names)] == found.split()


def test_a_pattern_begins_at_the_root_too(tree):
    assert [log.name for log in find([f"{tree}/**/c.log"])] == [f"{tree}/nginx/c.log"]


def test_what_exists_is_no_pattern(tree):
    (tree / "[ab].log").write_bytes(THREE)
    assert [log.name for log in find(["[ab].log"])] == ["[ab].log"]


def test_one_file_under_several_names_is_one_source(tree):
    (tree / "link.log").symlink_to("a.log")
    os.link(tree / "a.log", tree / "same.log")
    assert [log.name for log in find(["link.log", "same.log", "./a.log", "b.log"])] == ["link.log", "b.log"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.log", "missing.log: cannot be read: No such file"),
        ("nginx/missing.log", "nginx/missing.log: cannot be read: No such file"),
        ("a.log/x", "a.log/x: cannot be read: Not a directory"),
        ("*.txt", r"\*.txt: no file matches this pattern"),
        ("empty/**/*.txt", r"empty/\*\*/\*.txt: no file matches this pattern"),
        (".git/../empty", "empty: there is no file in this folder"),
        ("dangling", "dangling: cannot be read: No such file"),
        ("nginx/self", "nginx/self: cannot be read: Too many levels of symbolic links"),
        ("", ": cannot be read: No such file"),
        ("a\0b", r"a\\x00b: cannot be read: .*embedded null"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("bad\x1b[2J", r"bad\\x1b\[2J: no file matches"),
        ("\udce9t\udce9", r"\\udce9t\\udce9: cannot be read: No such file"),
    ],
)
def test_a_name_that_stands_for_nothing_is_an_error_by_name(tree, name, message):
    (tree / "empty").mkdir()
    (tree / "dangling").symlink_to("nowhere")
    (tree / "nginx" / "self").symlink_to("self")
    with pytest.raises(SourceError, match=message) as caught:
        find(["a.log", name])
    str(caught.value).encode()


@pytest.mark.parametrize("name", ["loop", "**/*.log", "l*"])
def test_a_loop_of_folders_is_an_error_and_no_hang(tree, name):
    (tree / "loop").mkdir()
    for link in ("one", "two"):
        (tree / "loop" / link).symlink_to("..")
    (tree / "loop" / "f.log").touch()
    with pytest.raises(SourceError, match=r"loop.*: this folder is, by a link, within itself"):
        find([name])


def test_links_that_lead_to_themselves_in_a_folder_are_named(tree):
    (tree / "nginx" / "self").symlink_to("self")
    with pytest.raises(SourceError, match="nginx/self: cannot be read: Too many levels"):
        find(["nginx"])


def test_a_folder_is_read_through_links_and_without_what_is_no_file(tree):
    (tree / "linked").mkdir()
    (tree / "linked" / "gone.log").symlink_to("nowhere")
    (tree / "linked" / "more").symlink_to("../nginx")
    os.mkfifo(tree / "linked" / "fifo")
    assert [log.name for log in find(["linked"])] == ["linked/more/c.log", "linked/more/old/d.log"]


def test_names_that_are_no_text_work(tree):
    name = os.fsdecode(b"caf\xe9.log")
    (tree / name).write_bytes(THREE)
    (log,) = find(["caf*"])
    assert (log.name, log.head()) == (name, THREE)
    assert find([name])[0].inode == log.inode


# What goes wrong later


def test_a_file_that_vanishes_after_it_was_found_is_an_error_by_name(log):
    vanished = log(THREE)
    os.unlink(vanished.name)
    for read in (vanished.head, lambda: list(vanished.blocks())):
        with pytest.raises(SourceError, match=r"access.log: cannot be read: No such file"):
            read()


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that gives read errors")
def test_a_read_error_is_an_error_by_name():
    with pytest.raises(SourceError, match="/proc/self/mem: cannot be read: Input/output error"):
        find(["/proc/self/mem"])


@pytest.mark.parametrize("name", ["a.log", "nginx", "fifo"])
def test_what_may_not_be_read_is_an_error_by_name(tree, name):
    os.mkfifo(tree / "fifo")
    (tree / name).chmod(0)
    if os.access(name, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(SourceError, match=f"{name}: cannot be read: Permission denied"):
        find(["b.log", name])
    (tree / name).chmod(0o700)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux to count open files")
def test_nothing_stays_open_after_heads_and_blocks_left_midway(tree):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        (tree / f"{number}.gz").write_bytes(gzip.compress(THREE))
    logs = find(["*.gz", "*.log"])
    assert all(log.head() for log in logs)
    assert len(os.listdir("/proc/self/fd")) == before
    for log in logs:
        blocks = log.blocks(size=2)
        next(blocks)
        blocks.close()
    assert len(os.listdir("/proc/self/fd")) == before
