"""The journal's file: whole or refused, on disk before anything is sent, locked by living processes only."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from array import array
from contextlib import closing
from pathlib import Path

import pytest
from conftest import tracking

from piwik_import import identity
from piwik_import.acknowledged import Acknowledged
from piwik_import.identity import Mark, digest
from piwik_import.journal import (
    Doubt,
    Journal,
    JournalBroken,
    JournalError,
    Lane,
    LockedError,
    file,
    remember_visitors,
    rows,
    visitor_id_key,
    visitors_decided_by,
)
from piwik_import.lanes import Lanes
from piwik_import.translate import SLOTS, Entry

SITE = "http://127.0.0.1/piwik.php site 1"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path):
    with Journal(path) as journal:
        yield journal


@pytest.fixture
def row(journal):
    return journal.add(SITE, "access.log", "/var/log/access.log", digest(b"first line\n"))


def reopened(journal):
    """Return what another process would find."""
    with Journal(journal.path) as other:
        return other.stored()


# ---- what is kept


def test_a_row_is_read_back_as_it_was_written(journal, row):
    row.ends, row.lines = array("Q", range(10, 10 + SLOTS)), array("Q", range(SLOTS))
    row.mark, row.hits, row.format = Mark(10, digest(b"what lies before")), 7, "combined"
    row.file = (1, 2, 3, 4)
    row.doubts = doubts = [Doubt(row.id, run, 2, 4, 10, 20, 3000, 5, 1.5) for run in (1, 2)]
    journal.save([row])
    [found] = reopened(journal)
    assert found.updated > 0
    row.updated, row.doubts = found.updated, doubts
    assert found == row
    assert found.place == (10, 0)


def in_doubt(*doubts, place=0):
    """Return lanes that have these chunks on their way, and have come to a place before that."""
    return [Lane(doubt.source, doubt.run, doubt.lane, doubt.lanes, place, place // 10, 0, doubt) for doubt in doubts]


@pytest.mark.parametrize("count", [1, 4, 300])
def test_where_a_lane_is_adds_to_what_the_row_of_its_source_says(journal, row, count):
    row.ends[1], row.lines[1] = 900, 90
    journal.save([row])
    doubts = [Doubt(row.id, 1, lane, count, 50, 60, 600, 4, 5.0) for lane in range(count)]
    for lanes in (in_doubt(*doubts, place=400), in_doubt(*doubts, place=500)):
        journal.note(lanes)
    [found] = reopened(journal)
    assert list(found.ends) == [500, 900] + [500] * 254
    assert list(found.lines) == [50, 90] + [50] * 254
    assert found.doubts == doubts
    journal.note([Lane(row.id, 1, 0, count, 600, 60)])
    [found] = reopened(journal)
    assert found.ends[0] == 600
    journal.note([Lane(row.id, 1, 0, count, 600, 60, 77)])
    assert reopened(journal)[0].hits == 77
    assert found.doubts == doubts[1:]


def test_a_row_that_is_written_anew_takes_the_place_of_its_lanes(journal, row):
    doubts = [Doubt(row.id, run, lane, 2, 1, 2, 30, 4, 5.0) for run in (1, 2) for lane in (0, 1)]
    journal.note(in_doubt(*doubts, place=20))
    row.doubts = doubts[:2]
    journal.save([row], in_doubt(doubts[3]))
    [found] = reopened(journal)
    assert found.place == (0, 0)  # as it is told: this is how --from-start forgets
    assert found.doubts == [*doubts[:2], doubts[3]]
    journal.strike_out(doubts[:1])
    assert reopened(journal)[0].doubts == [doubts[1], doubts[3]]


def test_to_note_how_a_log_is_called_leaves_its_lanes_where_they_are(journal, row):
    doubt = Doubt(row.id, 1, 0, 1, 1, 2, 30, 4, 5.0)
    journal.note(in_doubt(doubt, place=20))
    journal.move(row, "access.log.1", "/var/log/access.log.1")
    [found] = reopened(journal)
    assert (found.name, found.place, found.doubts) == ("access.log.1", (20, 2), [doubt])


def test_chunks_in_doubt_can_be_taken_for_recorded(row):
    row.doubts = [Doubt(row.id, 1, 1, 4, 1, 9, 900, 4, 5.0)]
    row.ends[5] = 1000
    row.skip_doubts()
    assert list(row.ends[:10]) == [0, 900, 0, 0, 0, 1000, 0, 0, 0, 900]
    assert row.lines[1] == 9
    assert row.has_passed(row.doubts[0])  # and stays, until a summary has named it


@pytest.mark.parametrize("name", [b"caf\xe9.log", b"\xff\xfe", "größe".encode(), b"line\nbreak"], ids=repr)
def test_a_name_may_hold_any_bytes(journal, name):
    path = os.fsdecode(b"/logs/" + name)
    journal.add(SITE, os.fsdecode(name), path, digest(b"x"))
    [found] = reopened(journal)
    assert (os.fsencode(found.name), found.path) == (name, path)
    assert [one.id for one in journal.at_path(SITE, path)] == [found.id]


def test_an_inode_may_be_larger_than_sqlite_numbers_go(journal, row):
    row.file = (2**64 - 1, 2**64 - 2, 5, 6)
    journal.save([row])
    assert [one.id for one in journal.lying_as(SITE, row.file)] == [row.id]
    assert journal.lying_as(SITE, (1, 2, 3, 4)) == []


def test_a_log_is_found_by_what_it_begins_with_however_short_it_was(journal):
    whole = b"".join(b"%04d\n" % number for number in range(1000))
    rows = [journal.add(SITE, str(length), None, digest(whole[:length])) for length in (5, 500, 4096)]
    journal.add(SITE, "other", None, digest(b"0001\n"))
    journal.add("elsewhere", "5", None, digest(whole[:5]))
    found = journal.beginning_with(SITE, whole[:4096])
    assert [one.id for one in found] == [one.id for one in reversed(rows)]
    assert [one.name for one in journal.beginning_with(SITE, whole[:499])] == ["5"]
    assert journal.beginning_with(SITE, b"") == []


def test_a_source_that_was_forgotten_is_gone_with_its_chunks_and_its_number(journal, row):
    journal.note(in_doubt(Doubt(row.id, 1, 0, 4, 1, 2, 3, 4, 5.0)))
    journal.forget(row)
    assert reopened(journal) == []
    with closing(sqlite3.connect(journal.path)) as db:
        assert db.execute("SELECT count(*) FROM lanes").fetchone() == (0,)
    assert journal.add(SITE, "access.log", None, digest(b"x")).id != row.id  # another process may wait for that lock
    with pytest.raises(JournalBroken):
        journal.reread(row)


# ---- the file


def test_a_new_journal_is_for_its_owner_alone_and_leaves_no_draft(path):
    Journal(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["journal.db"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(file.MIGRATIONS),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_journal_that_is_begun_by_many_at_once_is_one(path):
    program = (
        "import os, sys; from pathlib import Path; from piwik_import.journal import Journal;"
        "from piwik_import.identity import digest;"
        "Journal(Path(sys.argv[1])).add('x', str(os.getpid()), None, digest(os.urandom(9)))"
    )
    many = [subprocess.Popen([sys.executable, "-c", program, path], env=environment()) for _ in range(6)]
    assert [one.wait(30) for one in many] == [0] * 6
    with Journal(path) as journal:
        assert sorted(int(one.name) for one in journal.stored()) == sorted(one.pid for one in many)
    assert not [one for one in path.parent.iterdir() if one.name.endswith(".new")]


def environment():
    return {"PYTHONPATH": str(Path(file.__file__).parent.parent.parent), "PATH": os.environ["PATH"]}


def test_an_older_journal_is_brought_up_to_date_with_all_that_it_holds(journal, row, path, monkeypatch):
    journal.note(in_doubt(Doubt(row.id, 1, 0, 4, 1, 2, 3, 4, 5.0)))
    journal.close()
    monkeypatch.setattr(file, "MIGRATIONS", (*file.MIGRATIONS, "CREATE TABLE notes (text); DROP INDEX by_digest"))
    with Journal(path) as later:
        assert len(later.stored()[0].doubts) == 1
    with Journal(path), closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT * FROM notes").fetchall() == []
        assert db.execute("PRAGMA user_version").fetchone() == (len(file.MIGRATIONS),)


def test_a_journal_of_the_first_form_is_taken_over(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "data" / "journal-1.sql").read_text())
        db.execute("PRAGMA journal_mode = WAL")
    with Journal(path) as journal:
        [found] = journal.stored()
    assert (found.name, found.path, found.format, found.hits) == ("access.log", "/var/log/access.log", "combined", 27)
    assert (found.beginning, found.file) == (digest(b"first line\n"), (1, 2, 3, 4))
    assert found.mark == Mark(200, digest(b"what lies before"))
    assert list(found.ends) == [300, 200, 300, 400] * 64
    assert list(found.lines) == [30, 20, 30, 40] * 64
    assert found.doubts == [Doubt(1, 1, 1, 4, 21, 29, 290, 5, 1.5)]
    with Journal(path) as again:
        assert again.stored() == [found]


def test_the_key_of_visitor_ids_is_kept_with_each_source(path):
    with Journal(path) as first:
        row = first.add("x", "access.log", None, digest(b"beginning"))
    with Journal(path) as journal:
        assert [one.id for one in journal.stored()] == [row.id]
        assert visitors_decided_by(journal, row) == ""
        remember_visitors(journal, row, "ip-ua")
        assert visitors_decided_by(journal, row) == "ip-ua"
        key = visitor_id_key(journal)
        assert len(key) == 32
        journal.forget(row)
        assert visitors_decided_by(journal, row) == ""
    with Journal(path) as again:
        assert visitor_id_key(again) == key


def test_chunks_in_doubt_of_a_journal_of_version_5_stay_so_and_what_is_damaged_too(path):
    path.parent.mkdir()
    values = (1, 1, 2, 4, 300, 30, 7, 31, 40, 400, 10, 5.5)
    with closing(sqlite3.connect(path)) as db:
        db.create_function("seal", -1, lambda *row: rows.seal(row))
        for statement in ";".join(file.MIGRATIONS[:5]).split(";"):
            db.execute(statement)
        for source in (1, 2):
            db.execute(
                "INSERT INTO sources (id, destination, name, length, digest, ends, lines, updated, seal)"
                " VALUES (?, '', '', 0, '', '', '', 0, '')",
                (source,),
            )
            row = (source, *values[1:])
            db.execute(f"INSERT INTO lanes VALUES ({', '.join('?' * 13)})", (*row, rows.seal(values)))
        db.execute(f"PRAGMA application_id = {file.APPLICATION}")
        db.execute("PRAGMA user_version = 5")
        db.commit()
    with Journal(path), closing(sqlite3.connect(path)) as db:
        sound, damaged = db.execute(f"SELECT {rows.LANE_COLUMNS} FROM lanes ORDER BY source")
    lane = rows.lane_from_row(sound)
    assert (lane.place, lane.line, lane.tracked, lane.ahead) == (300, 30, 7, None)
    assert lane.doubt == Doubt(1, 1, 2, 4, 31, 40, 400, 10, 5.5)
    with pytest.raises(ValueError, match="damaged"):
        rows.lane_from_row(damaged)


def test_a_migration_that_fails_leaves_the_journal_as_it_was(journal, row, path, monkeypatch):
    journal.close()
    with monkeypatch.context() as patch:
        patch.setattr(file, "MIGRATIONS", (*file.MIGRATIONS, "CREATE TABLE notes (text); no statement at all"))
        with pytest.raises(JournalError, match="syntax error"):
            Journal(path)
    with Journal(path) as as_before:
        assert [one.id for one in as_before.stored()] == [row.id]


def spoil_newer(path):
    Journal(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def spoil_foreign(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE sources (id)")


def spoil_garbage(path):
    path.parent.mkdir()
    path.write_bytes(random.Random(1).randbytes(20_000))


def spoil_text(path):
    path.parent.mkdir()
    path.write_text("127.0.0.1 - - [05/Mar/2026:10:00:00 +0000]\n" * 200)


def spoil_empty(path):
    path.parent.mkdir()
    path.touch()


def spoil_folder(path):
    path.mkdir(parents=True)


def spoil_parent(path):
    path.parent.write_text("a file")


def spoil_progress(path):
    with Journal(path) as journal:
        journal.add(SITE, "access.log", None, digest(b"x"))
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE sources SET ends = x'00'")
            db.commit()


SPOILED = {
    spoil_newer: "newer piwik-import",
    spoil_foreign: "no journal of piwik-import",
    spoil_garbage: "not a database",
    spoil_text: "not a database",
    spoil_empty: "empty",
    spoil_folder: "unable to open",
    spoil_parent: "exists",
    spoil_progress: "damaged",
}


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_what_is_no_journal_is_refused_and_left_as_it_is(path, spoil):
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=SPOILED[spoil]) as caught, Journal(path) as journal:
        journal.stored()
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    assert before is None or spoil is spoil_newer or spoil is spoil_progress or path.read_bytes() == before


@pytest.mark.parametrize("spoil", SPOILED, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_with_a_broken_journal_nothing_is_sent(run_program, tracker, make_log, path, spoil):
    spoil(path)
    if spoil is spoil_progress:
        with closing(sqlite3.connect(path)) as db:
            value = identity.digest(make_log(lines=3).read_bytes())
            db.execute("UPDATE sources SET destination = ?, length = ?, digest = ?", destination_of(tracker, value))
            db.commit()
    server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_SITE": "1"}
    outcome = run_program(make_log(lines=3), "--journal", path, env=server)
    assert outcome.code == 2
    assert outcome.stderr.startswith(f"piwik-import: journal {path}")
    assert outcome.stderr.count("\n") == 1
    assert not tracker.targets


def destination_of(tracker, value):
    return f"{tracker.url}piwik.php site 1", value.length, value.value


def test_a_journal_cut_anywhere_is_refused_or_whole(path, tmp_path):
    with Journal(path) as journal:
        for number in range(40):
            one = journal.add(SITE, f"{number}.log", f"/logs/{number}.log", digest(b"%d" % number))
            one.ends = array("Q", [number + 1] * SLOTS)
            journal.save([one], in_doubt(Doubt(one.id, 1, 0, 1, 1, 1, 1, 1, 1.0)))
        wanted = journal.stored()
    data = path.read_bytes()
    dice = random.Random(5)
    sizes = {1, 15, 16, 99, 100, 511, 512, 4095, 4096, 4097, len(data) - 4096, len(data) - 1, len(data)}
    whole = 0
    for size in sizes | {dice.randrange(len(data)) for _ in range(60)}:
        cut = tmp_path / f"{size}.db"
        cut.write_bytes(data[:size])
        try:
            with Journal(cut) as journal:
                assert journal.stored() == wanted, size
                whole += 1
        except JournalError:
            pass
    assert whole >= 1  # more, if what was cut off was not in use


def test_a_journal_with_a_flipped_byte_is_refused_or_whole_in_form(path, tmp_path):
    with Journal(path) as journal:
        for number in range(20):
            one = journal.add(SITE, f"{number}.log", None, digest(b"%d" % number))
            journal.note(in_doubt(Doubt(one.id, 1, 0, 1, 1, 2, 30, 1, 1.0), place=10))
    data = bytearray(path.read_bytes())
    dice = random.Random(6)
    for number in range(60):
        copy = bytearray(data)
        copy[dice.randrange(len(copy))] ^= 1 << dice.randrange(8)
        (tmp_path / "flipped.db").write_bytes(copy)
        for end in ("-wal", "-shm"):
            (tmp_path / f"flipped.db{end}").unlink(missing_ok=True)
        try:
            with Journal(tmp_path / "flipped.db") as journal:
                assert [one.place for one in journal.stored()] == [(10, 1)] * 20, number
        except JournalError:
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("exists", [True, False], ids=["a journal", "none yet"])
def test_a_read_only_disk_is_an_error_before_anything_is_sent(run_program, tracker, make_log, path, exists):
    Journal(path).close()
    if not exists:
        path.unlink()
    log = make_log(lines=3)
    path.parent.chmod(0o500)
    if exists:
        path.chmod(0o400)
    server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_SITE": "1"}
    outcome = run_program(log, "--journal", path, env=server)
    path.parent.chmod(0o700)
    assert outcome.code == 2
    assert str(path) in outcome.stderr
    assert not tracker.targets


def test_a_journal_that_cannot_be_locked_is_an_error(journal, row, path):
    Path(f"{path}.lock").mkdir()
    with pytest.raises(JournalError, match="lock"):
        journal.lock(row, 0)


def test_a_file_that_goes_bad_while_it_is_open_is_an_error_of_ours(journal, row):
    with closing(sqlite3.connect(journal.path)) as db:
        db.execute("DROP TABLE lanes")
    with pytest.raises(JournalError, match="no such table"):
        journal.stored()
    with pytest.raises(JournalBroken, match="no such table"):
        journal.save([row])


def test_a_full_disk_at_the_start_is_an_error_before_anything_is_sent(start_small, tracker, make_log):
    outcome = start_small(8 << 10, make_log(lines=300))
    assert outcome.returncode in (2, 75)
    assert outcome.stderr.count(b"\n") == 1
    assert b"journal" in outcome.stderr
    assert not tracker.bulks


def test_a_full_disk_midway_stops_the_import_with_its_requests_settled(start_small, run_program, tracker, make_log):
    log = make_log(lines=4_000, visitors=200)
    tracker.pause = lambda: 0.01
    outcome = start_small(100 << 10, log, "--chunk-size", 10, "--recorders", 2)
    assert outcome.returncode == 75, outcome.stderr
    assert b"full" in outcome.stderr or b"I/O" in outcome.stderr
    assert outcome.stderr.count(b"\n") == 1
    first = len(tracker.hits)
    assert 0 < first < 4_000
    server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_SITE": "1"}
    again = run_program(log, env=server, timeout=50)
    assert again.code == 0
    assert len({hit["url"] for hit in tracker.recorded}) == 4_000
    assert len(tracker.recorded) - 4_000 <= 20  # a chunk a lane: they were in doubt
    assert "it is not known whether lines" in again.stdout


@pytest.fixture
def start_small(tmp_path, tracker):
    """Return a function that imports where no file can grow beyond a size, as on a disk that is full."""

    def start(size, log, *options):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        return subprocess.run(
            [sys.executable, "-m", "piwik_import", "--summary", "none", *map(str, options), log],
            env=environment()
            | {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path), "PIWIK_SITE": "1"}
            | {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            preexec_fn=limit,
            timeout=50,
            check=False,
        )

    return start


@pytest.mark.parametrize("size", [1, 3000, 8192, 20_000])
def test_a_disk_too_full_for_a_journal_is_left_as_it_was(start_small, make_log, tmp_path, size):
    outcome = start_small(size, make_log(lines=3))
    assert outcome.returncode in (2, 75)
    assert b"journal" in outcome.stderr
    left = sorted(path.name for path in (tmp_path / "state" / "piwik-import").iterdir())
    assert [name for name in left if ".new" in name] == []


# ---- locks


HOLD = """
import sys
from pathlib import Path
from piwik_import.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.lock(journal.stored()[0], 0)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(journal, row):
    """A second process that holds the lock on `row`."""
    assert row.id == 1
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, journal.path],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_the_lock_of_another_process_is_respected_and_its_number_said(journal, row, holder):
    with pytest.raises(LockedError, match=str(holder.pid)) as caught:
        journal.lock(row, 0)
    assert caught.value.exit_code == 75
    with pytest.raises(LockedError):
        journal.forget(row)
    assert reopened_in_another_process(journal) == 1


def reopened_in_another_process(journal):
    """Count the rows. Not here: to close the lock's file once is to let go of all locks on it."""
    program = "import sys; from pathlib import Path; from piwik_import.journal import Journal;"
    program += "print(len(Journal(Path(sys.argv[1])).stored()))"
    return int(subprocess.check_output([sys.executable, "-c", program, journal.path], env=environment()))


@pytest.mark.usefixtures("holder")
def test_the_lock_of_another_process_is_respected_by_whatever_name_the_journal_is_called(path, row, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with Journal(link) as journal, pytest.raises(LockedError):
        journal.lock(row, 0)


@pytest.mark.usefixtures("holder")
def test_a_lock_on_one_source_does_not_keep_others_from_being_imported(journal):
    journal.lock(journal.add(SITE, "other.log", None, digest(b"other")), 0)


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "ended"])
def test_the_lock_of_a_dead_process_blocks_nobody(journal, row, holder, end):
    if end is None:
        holder.stdin.close()
    else:
        holder.send_signal(end)
    holder.wait(10)
    journal.lock(row, 0)


def test_a_lock_is_waited_for(journal, row, holder):
    threading.Timer(0.3, holder.kill).start()
    began = time.monotonic()
    journal.lock(row, 10)
    assert 0.2 < time.monotonic() - began < 5


# ---- what one run has had acknowledged


def entries(*places, source=0):
    """Return hits, each given as slot and number of its line; a line has ten bytes."""
    return [Entry("?", slot, source, line, 10 * line) for slot, line in places]


@pytest.fixture
def lanes():
    return Lanes(2, 2)


def sent(acknowledged, lanes, lane):
    """Play a lane that sends one chunk."""
    chunk = lanes.take(lane)
    acknowledged.begin(lane, chunk)
    acknowledged.settle(lane, chunk, len(chunk))
    lanes.done(lane)
    return chunk


def test_progress_is_what_each_lane_has_had_acknowledged(journal, row, lanes):
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (1, 6)))
    acknowledged.read(0, 60, 6, None)
    sent(acknowledged, lanes, 1)
    acknowledged.flush()
    [found] = reopened(journal)
    assert [found.ends[slot] for slot in (0, 1, 2, 3)] == [0, 40, 0, 40]
    sent(acknowledged, lanes, 0)  # and with that it has nothing more: it is as far as reading
    acknowledged.flush()
    assert [reopened(journal)[0].ends[slot] for slot in (0, 1)] == [60, 40]


def test_a_chunk_is_on_disk_before_begin_returns_and_gone_with_the_next(journal, row, lanes):
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (2, 2), (4, 3), (6, 4)))
    chunk = lanes.take(0)
    acknowledged.begin(0, chunk)
    [doubt] = reopened(journal)[0].doubts
    assert (doubt.lane, doubt.lanes, doubt.first, doubt.last, doubt.end, doubt.hits) == (0, 2, 1, 2, 20, 2)
    acknowledged.settle(0, chunk, 2)
    acknowledged.begin(0, lanes.take(0))
    [found] = reopened(journal)
    assert [(doubt.first, doubt.last) for doubt in found.doubts] == [(3, 4)]
    assert (found.ends[0], found.hits) == (20, 2)
    acknowledged.flush()
    assert (reopened(journal)[0].ends[0], reopened(journal)[0].hits) == (20, 2)


def test_a_chunk_that_was_certainly_not_recorded_is_in_doubt_no_more(journal, row, lanes):
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (0, 2)))
    acknowledged.begin(0, lanes.take(0))
    acknowledged.withdraw(0)
    lanes.abandon()
    acknowledged.flush()
    [found] = reopened(journal)
    assert not found.doubts
    assert found.place == (0, 0)


def prepared(journal, row, lanes):
    """Play a lane that has a chunk on its way and the next one prepared; return them."""
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (2, 2), (4, 3), (6, 4)))
    chunk, following = lanes.take(0), lanes.take_ahead(0)
    acknowledged.begin(0, chunk)
    acknowledged.prepare(0, following)
    return acknowledged, chunk, following


def doubts(journal):
    """Return the lines and hits that are in doubt for another process."""
    return [(doubt.first, doubt.last, doubt.end, doubt.hits) for doubt in reopened(journal)[0].doubts]


def test_a_chunk_that_is_prepared_is_in_doubt_when_it_is_begun_and_not_before(journal, row, lanes):
    acknowledged, chunk, following = prepared(journal, row, lanes)
    assert doubts(journal) == [(1, 2, 20, 2)]
    acknowledged.settle(0, chunk, 2)
    acknowledged.begin(0, following, is_prepared=True)
    assert doubts(journal) == [(3, 4, 40, 2)]
    assert reopened(journal)[0].ends[0] == 20
    acknowledged.settle(0, following, 2)
    acknowledged.flush()
    assert doubts(journal) == []
    assert (reopened(journal)[0].ends[0], reopened(journal)[0].hits) == (40, 4)


@pytest.mark.parametrize("boot", ["another start of the machine", ""], ids=["known", "unknown"])
def test_a_chunk_that_was_prepared_when_the_machine_failed_is_in_doubt(journal, row, lanes, monkeypatch, boot):
    acknowledged, chunk, _ = prepared(journal, row, lanes)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "BOOT", boot)
        assert doubts(journal) == [(1, 4, 40, 4)]
    acknowledged.settle(0, chunk, 2)
    acknowledged.flush()  # between its answer and the next request
    assert doubts(journal) == []
    with monkeypatch.context() as patch:
        patch.setattr(rows, "BOOT", boot)
        assert doubts(journal) == [(3, 4, 40, 2)]


def test_a_chunk_that_was_prepared_and_is_not_sent_is_never_in_doubt(journal, row, lanes, monkeypatch):
    acknowledged, chunk, _ = prepared(journal, row, lanes)
    acknowledged.settle(0, chunk, 2)
    acknowledged.drop(0)
    acknowledged.flush()
    monkeypatch.setattr(rows, "BOOT", "another start of the machine")
    assert doubts(journal) == []
    assert reopened(journal)[0].ends[0] == 20


def test_who_begins_what_is_prepared_waits_for_no_disk(journal, row, lanes, monkeypatch):
    waits = []
    sync = journal.sync
    monkeypatch.setattr(journal, "sync", lambda: waits.append(sync()))
    acknowledged, chunk, following = prepared(journal, row, lanes)
    assert len(waits) == 2
    acknowledged.settle(0, chunk, 2)
    acknowledged.begin(0, following, is_prepared=True)
    assert len(waits) == 2
    acknowledged.flush()
    assert len(waits) == 3


def test_the_first_chunk_of_a_source_is_not_prepared_for_its_row_may_begin_anew_with_it(journal, row, lanes):
    other = journal.add(SITE, "other.log", None, digest(b"other"))
    other.advance(0, 2, 500, 50)
    journal.save([other])
    other.reset()  # --from-start
    acknowledged = Acknowledged(journal, [row, other], lanes)
    chunks = [entries((0, 1), (2, 2)), entries((4, 3)) + entries((0, 1), source=1), entries((2, 2), source=1)]
    acknowledged.begin(0, chunks[0])
    assert not acknowledged.prepare(0, chunks[1])
    assert journal.reread(other).ends[0] == 500
    acknowledged.settle(0, chunks[0], 2)
    acknowledged.begin(0, chunks[1])
    assert journal.reread(other).ends[0] == 0
    assert acknowledged.prepare(0, chunks[2])


def test_what_could_not_be_brought_to_disk_is_not_sent(journal, row, lanes, monkeypatch):
    acknowledged, chunk, following = prepared(journal, row, lanes)
    acknowledged.settle(0, chunk, 2)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "sync", failing)
        with pytest.raises(JournalBroken):
            acknowledged.flush()
    with pytest.raises(JournalBroken):
        acknowledged.begin(0, following, is_prepared=True)


def test_a_journal_behind_a_symbolic_link_is_brought_to_disk_where_it_is(path, tmp_path):
    Journal(path).close()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with Journal(link) as journal:
        journal.add(SITE, "access.log", None, digest(b"x"))
        assert os.fstat(journal._log).st_ino == path.with_name("journal.db-wal").stat().st_ino


def test_a_journal_behind_a_symbolic_link_that_leads_nowhere_yet_is_made_where_it_leads(path, tmp_path):
    path.parent.mkdir()
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with Journal(link) as journal:
        journal.add(SITE, "access.log", None, digest(b"x"))
    with Journal(path) as journal:
        assert [one.name for one in journal.stored()] == ["access.log"]


def test_a_chunk_of_two_sources_is_in_doubt_in_both_and_ends_the_first(journal, row, lanes):
    other = journal.add(SITE, "other.log", None, digest(b"other"))
    acknowledged = Acknowledged(journal, [row, other], lanes)
    lanes.put(entries((0, 1)))
    acknowledged.read(0, 70, 7, None)
    lanes.put(entries((0, 1), source=1))
    # The lane may be quicker than the reader: `read` has not been told of the second source yet.
    chunk = lanes.take(0)
    acknowledged.begin(0, chunk)
    assert [len(one.doubts) for one in reopened(journal)] == [1, 1]
    acknowledged.settle(0, chunk, 2)
    lanes.done(0)
    acknowledged.read(1, 90, 9, None)
    acknowledged.flush()
    found = {one.name: one for one in reopened(journal)}
    assert found["access.log"].place == (70, 7)
    assert found["other.log"].place == (90, 9)


def test_nothing_is_taken_for_done_once_lanes_are_abandoned(journal, row, lanes):
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.abandon()
    lanes.put(entries((0, 1), (1, 2)))
    acknowledged.read(0, 20, 2, None)
    acknowledged.flush()
    assert reopened(journal)[0].place == (0, 0)


def test_a_source_that_is_not_read_is_not_written_either(journal, row, lanes):
    idle = journal.add(SITE, "idle.log", None, digest(b"idle"))
    acknowledged = Acknowledged(journal, [idle, row], lanes)
    idle.ends = array("Q", [99] * SLOTS)  # as it would be if another process had gone on with it
    lanes.put(entries((0, 1), (0, 2), source=1))
    acknowledged.read(1, 20, 2, None)
    sent(acknowledged, lanes, 0)
    acknowledged.flush()
    assert {one.name: one.place[0] for one in reopened(journal)} == {"idle.log": 0, "access.log": 20}


def test_a_row_that_begins_anew_says_so_before_its_first_hit_is_sent(journal, row, lanes):
    row.ends, row.file = array("Q", [99] * SLOTS), (1, 2, 3, 4)
    journal.save([row])
    row.reset()
    row.file = None
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (0, 2)))
    acknowledged.begin(0, lanes.take(0))
    [found] = reopened(journal)
    assert (found.place, found.file, len(found.doubts)) == ((0, 0), None, 1)


def test_chunks_of_earlier_runs_are_kept_whatever_becomes_of_their_hits(journal, row, lanes):
    row.doubts = [Doubt(row.id, 1, 1, 2, 1, 2, 20, 2, 5.0), Doubt(row.id, 2, 1, 2, 7, 9, 90, 2, 5.0)]
    journal.save([row])
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((1, 1), (1, 2)))
    acknowledged.read(0, 40, 4, None)
    sent(acknowledged, lanes, 1)
    acknowledged.flush()
    [found] = reopened(journal)
    assert [found.has_passed(doubt) for doubt in found.doubts] == [True, False]


def test_the_mark_is_the_last_that_all_slots_have_passed(journal, row, lanes):
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (0, 2), (1, 2)))
    acknowledged.read(0, 20, 2, identity.mark(20, b"first"))
    lanes.put(entries((0, 3), (0, 4), (1, 4)))
    acknowledged.read(0, 40, 4, identity.mark(40, b"second"))
    sent(acknowledged, lanes, 1)
    acknowledged.flush()
    assert reopened(journal)[0].mark is None
    sent(acknowledged, lanes, 0)
    acknowledged.flush()
    assert reopened(journal)[0].mark == identity.mark(20, b"first")
    sent(acknowledged, lanes, 0)
    acknowledged.flush()
    assert reopened(journal)[0].mark == identity.mark(40, b"second")


def test_after_a_failure_nothing_more_is_written_or_begun(journal, row, lanes, monkeypatch):
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries((0, 1), (0, 2), (1, 1), (1, 2)))
    with monkeypatch.context() as patch:
        patch.setattr(journal, "save", failing)
        with pytest.raises(JournalBroken):
            acknowledged.begin(0, lanes.take(0))
    with pytest.raises(JournalBroken):
        acknowledged.begin(1, lanes.take(1))
    with pytest.raises(JournalBroken):
        acknowledged.flush()
    assert reopened(journal)[0].doubts == []


def failing(*_):
    raise JournalBroken(Path("journal.db"), "disk full")


def test_lanes_that_begin_together_share_a_write(journal, row, monkeypatch):
    lanes = Lanes(8, 2)
    acknowledged = Acknowledged(journal, [row], lanes)
    lanes.put(entries(*((slot, 1 + slot) for slot in range(8)), *((slot, 9 + slot) for slot in range(8))))
    writes = []

    def slowly(write):
        def write_slowly(*arguments):
            writes.append(len(arguments[-1]))
            time.sleep(0.2)
            write(*arguments)

        return write_slowly

    monkeypatch.setattr(journal, "save", slowly(journal.save))  # that the source is begun
    monkeypatch.setattr(journal, "note", slowly(journal.note))
    threads = [threading.Thread(target=acknowledged.begin, args=(lane, lanes.take(lane))) for lane in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(writes) == 8
    assert len(writes) == 2
    assert len(reopened(journal)[0].doubts) == 8


def test_a_chunk_is_on_disk_as_in_doubt_while_the_server_has_the_request(run_program, make_log, tmp_path):
    seen = []
    with tracking() as tracker:

        def look():
            with closing(sqlite3.connect(tmp_path / "state" / "piwik-import" / "journal.db")) as db:
                doubts = db.execute("SELECT name, lane, lanes, first, last, lanes.hits FROM lanes, sources")
                seen.append((doubts.fetchall(), [hit["url"] for bulk in tracker.bulks[-1:] for hit in bulk.hits]))
            return 0.0

        tracker.pause = look
        log = make_log(lines=300, visitors=40)
        server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_SITE": "1"}
        outcome = run_program(log, "--recorders", 1, "--chunk-size", 20, env=server)
        assert outcome.code == 0
    assert len(seen) == 15
    for number, (doubts, urls) in enumerate(seen):
        first, last = 20 * number + 1, 20 * number + 20
        assert doubts == [(str(log), 0, 1, first, last, 20)]
        assert urls == [f"http://example.org/access/{line}" for line in range(20 * number + 1, 20 * number + 21)]
    with Journal(tmp_path / "state" / "piwik-import" / "journal.db") as journal:
        [row] = journal.stored()
        assert not row.doubts
        assert row.place == (log.stat().st_size, 300)
        assert row.hits == 300


def test_while_the_server_has_a_request_the_next_one_is_written_down(run_program, make_log, tmp_path):
    seen = []
    columns = "SELECT first, last, ahead_first, ahead_last, ahead_hits FROM lanes"
    with tracking() as tracker:

        def look():
            until = time.monotonic() + (10 if 1 <= len(seen) < 14 else 0)
            with closing(sqlite3.connect(tmp_path / "state" / "piwik-import" / "journal.db")) as db:
                while (row := db.execute(columns).fetchone())[2] is None and time.monotonic() < until:
                    time.sleep(0.01)
            seen.append(row)
            return 0.0

        tracker.pause = look
        server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": tracker.token, "PIWIK_SITE": "1"}
        outcome = run_program(
            make_log(lines=300, visitors=40), "--recorders", 1, "--chunk-size", 20, "--no-check", env=server
        )
        assert outcome.code == 0
    first, *more, last = seen
    assert first == (1, 20, None, None, None)  # until it has recorded something, the server may refuse all
    assert more == [(line, line + 19, line + 20, line + 39, 20) for line in range(21, 281, 20)]
    assert last == (281, 300, None, None, None)
