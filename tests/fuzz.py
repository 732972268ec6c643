"""Feed a million broken lines to whatever reads lines, and strings to whatever reads format strings.

    python tests/fuzz.py                            a million lines: some minutes; prints its seed
    python tests/fuzz.py --seed 7 --lines 20000     fewer, and the same again
    python tests/fuzz.py --logs FOLDER              breaks the lines of these logs too

Lines are the samples of all formats, those of tests/data and requests to a tracker, broken (`mutations`). They go the
whole way from the parser to the query string: as blocks of each format, within each wrapper, and as files whose format
is recognised, among them arrays of JSON and messages in parts. The law, which holds of each line or the run ends:

    it is a hit, or left out, or bad with a reason, and nothing else comes of it,
    the short way and the long one say the same of it,
    its query is of the characters that a request takes, and holds what its hit holds,
    it takes no longer than `SLOW`.

A string is read, or refused by an error that is shown; its pattern then reads a few lines.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mutations import Mutator, header_of, lines_in, logs_in, made

from piwik_import import framing, jobs, source
from piwik_import.errors import UsageError
from piwik_import.filters import FilterSettings
from piwik_import.hits import HitSettings
from piwik_import.parsers import catalogue, choice, goaccess, logformat, serverconf, tables, wrappers
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.record import BadLine
from piwik_import.parsers.wrappers import Wrapper
from piwik_import.searches import SearchSettings
from piwik_import.shaping import Shaping
from piwik_import.source import Block
from piwik_import.tracker_requests import FILES, TrackerSettings
from piwik_import.tracking import HALF_PAIR, bulk_body, decode
from piwik_import.translate import Batch, Plan, Translator
from piwik_import.visitors import VisitorSettings

SLOW = 0.25
"""Seconds of CPU for a line, or for a string; on a quiet machine the slowest take a tenth."""
DATA = Path(__file__).parent / "data"
EVERYTHING = FilterSettings(bots=True, static=True, errors=True, redirects=True, base_url="https://example.org")


class Broken(AssertionError):
    """The law was broken; the message holds what broke it."""


@dataclass
class Row:
    """What became of the lines of one kind."""

    what: str
    lines: int = 0
    hits: int = 0
    bad: int = 0
    slowest: float = 0.0
    """CPU seconds of one line; of a file, those of all its lines."""
    seconds: float = 0.0

    def __str__(self) -> str:
        speed = self.lines / self.seconds if self.seconds else 0
        left_out = self.lines - self.hits - self.bad
        counts = f"{self.lines:11,}{self.hits:11,}{left_out:11,}{self.bad:11,}"
        return f"{self.what:28}{counts}{self.slowest * 1000:12.1f}{speed:11,.0f}"


HEAD = f"{'':28}{'lines':>11}{'hits':>11}{'left out':>11}{'bad':>11}{'slowest ms':>12}{'lines/s':>11}"


def timed(row: Row, work: Callable[[], object], shown: object, limit: float = SLOW) -> None:
    """Do something that may take `limit` CPU seconds, by the best of three tries."""
    least = float("inf")
    for _ in range(3):
        began = time.process_time()
        work()
        least = min(least, time.process_time() - began)
        if least < limit / 4:
            break
    row.slowest = max(row.slowest, least)
    row.seconds += least
    if least > limit:
        raise Broken(f"{row.what}: {least:.2f} s for {shown!r}")


# -- lines ----------------------------------------------------------------------------------------------------


class Trial:
    """The ways of the lines of one format: as an import goes them, the long one, and with wishes of the user's."""

    def __init__(self, definition: Definition, shaping: Shaping | None = None) -> None:
        hits = HitSettings(1, "https://example.org")
        usual = Plan(0, definition, EVERYTHING, hits, shaping=shaping)
        wishes = Shaping(searches=SearchSettings(("q",)), visitors=VisitorSettings("user", key=b"0"))
        self._quick, self._long = Translator(usual), Translator(replace(usual, keep_hits=True))
        self._shaped = Translator(replace(usual, filters=FilterSettings(), shaping=wishes))
        self._header = header_of(definition)

    def __call__(self, row: Row, text: str, *, shaped: bool) -> None:
        """Translate some lines in every way, and hold them to the law."""
        data = text.encode("latin-1") + b"\n"
        block = Block(data, 7, 7 + len(data), 1, data.count(b"\n"), header=self._header)
        batches: list[Batch] = []
        timed(row, lambda: batches.append(self._quick(block)), text)
        quick, long = batches[-1], self._long(block)
        count(row, quick, block.lines, text)
        if (quick.entries, quick.bad, quick.filtered) != (long.entries, long.bad, long.filtered):
            raise Broken(f"{row.what}: the short way and the long one differ for {text!r}")
        for entry, hit in zip(long.entries, long.hits, strict=True):
            if not entry.query.isascii() or decode(entry.query).keys() != {
                HALF_PAIR.sub("\ufffd", name) for name in hit
            }:
                raise Broken(f"{row.what}: {entry.query!r} is not {hit!r}, for {text!r}")
        if long.entries:
            json.loads(bulk_body([entry.query for entry in long.entries], None))
        if shaped:
            count(Row(row.what), self._shaped(block), block.lines, text)


def count(row: Row, batch: Batch, lines: int | None, text: object) -> None:
    """Enter a batch into a row, if it has so many lines, and each became one thing, be it several hits."""
    hits = len(batch.entries) - batch.further
    if lines not in (None, batch.lines) or batch.lines != hits + len(batch.bad) + batch.filtered.total():
        raise Broken(f"{row.what}: {batch.lines} of {lines} lines became {batch!r}, for {text!r}")
    if not all(one.reason for one in batch.bad):
        raise Broken(f"{row.what}: no reason for {text!r}")
    row.lines += batch.lines
    row.hits += hits
    row.bad += len(batch.bad)


def formats(dice: random.Random, mutate: Mutator, number: int, further: Sequence[Sequence[str]]) -> Iterator[Row]:
    """Try lines of every format, alone and several."""
    known = {name: one for name, one in catalogue.known().items() if "time" in one.fields}
    for name, definition in known.items():
        row, trial, lines = Row(name), Trial(definition), lines_in(definition)
        while row.lines < number // len(known):
            some = dice.choice(further) if dice.random() < 0.1 else lines
            text = "\n".join(mutate(some) for _ in range(dice.choice((1, 1, 1, 4))))
            trial(row, text, shaped=dice.random() < 0.1)
        yield row


VARIABLES = "%7B%221%22%3A%5B%22a%22%2C1%5D%7D"
PIWIK = f"/piwik.php?idsite=1&rec=1&url=http%3A%2F%2Fa.example%2F&uid=x&cdt=1795248902&_cvar={VARIABLES}"
TRACKED = [
    f'192.0.2.1 - - [21/Nov/2026:09:15:02 +0100] "GET {PIWIK}&e_c=a&e_a=b&token_auth=0 HTTP/1.1" 200 5 "-" "Firefox"',
    f'192.0.2.1 - - [21/Nov/2026:09:15:02 +0100] "GET {PIWIK}&idgoal=0&ec_items=%5B%5B%22a%22%5D%5D" 204 - "-" "-"',
]
POSTED = [
    json.dumps({"ip": "192.0.2.1", "time": "2026-11-21T08:15:02Z", "request_method": "POST", "status": 200} | more)
    for more in (
        {"path": "/piwik.php", "request_body": PIWIK.partition("?")[2]},
        {
            "path": PIWIK,
            "request_body": json.dumps({"requests": [PIWIK[10:], {"idsite": 1, "rec": 1}], "token_auth": "0"}),
        },
    )
]
"""Lines of a tracker's server, without bodies and with them."""


def trackers(mutate: Mutator, number: int) -> Iterator[Row]:
    """Try lines that hold requests to a tracker, which are replayed."""
    for name, lines in (("combined", TRACKED), ("json", POSTED)):
        row = Row(f"tracker requests in {name}")
        trial = Trial(catalogue.named(name), Shaping(trackers=TrackerSettings(FILES, 1)))
        while row.lines < number // 2:
            trial(row, mutate(lines), shaped=False)
        yield row


def wrapped(line: str, wrapper: Wrapper, dice: random.Random) -> str:
    """Put a line into the place of the message in a wrapper's sample."""
    sample = dice.choice(wrapper.samples)
    message = str(sample["message"])
    for written in (message, json.dumps(message)[1:-1], json.dumps(message, ensure_ascii=False)[1:-1]):
        at = sample["line"].rfind(written) if written else -1
        if at >= 0:
            within = json.dumps(line)[1:-1] if wrapper.json else line
            whole = sample["line"][:at] + within + sample["line"][at + len(written) :]
            return str(whole).encode("utf-8", "surrogatepass").decode("latin-1") if wrapper.json else str(whole)
    return line


def within(dice: random.Random, mutate: Mutator, number: int) -> Iterator[Row]:
    """Try lines of some formats within every wrapper; what is around them is broken too."""
    known = [*catalogue.known().values()]
    for name, wrapper in wrappers.known().items():
        fitting = [one for one in known if "time" in one.fields or wrapper.time_form is not None]
        row, trials = Row(f"in {name}"), dice.sample(fitting, 3)
        for definition in trials:
            trial, lines = Trial(definition.within(wrapper)), lines_in(definition)
            around = [wrapped(line, wrapper, dice) for line in lines]
            for _ in range(number // len(wrappers.known()) // len(trials)):
                line = mutate(around) if dice.random() < 0.6 else wrapped(mutate(lines), wrapper, dice)
                trial(row, line.replace("\n", ""), shaped=dice.random() < 0.1)
        yield row


# -- files ----------------------------------------------------------------------------------------------------


def files(dice: random.Random, mutate: Mutator, number: int, further: Sequence[Sequence[str]]) -> Iterator[Row]:
    """Try logs that hold broken lines among good ones, as files of which nobody says what they are."""
    known = [one for one in catalogue.known().values() if "time" in one.fields]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.log"
        for shape in (lines_alone, lines_in_parts, in_an_array):
            row = Row(f"files: {shape.__name__.replace('_', ' ')}")
            while row.lines < number // 3:
                definition = dice.choice([one for one in known if one.json or shape is not in_an_array])
                lines = [*dice.choice(further)[:200]] if further and dice.random() < 0.2 else lines_in(definition)
                text = shape(dice, mutate, lines)
                path.write_bytes(text.encode("latin-1"))
                os.utime(path, (0, 0))
                one = Row(row.what)
                timed(one, lambda row=row: read(row, path, dice), text[:2000], limit=2.0)
                row.lines += 1  # a log that is refused counts too
                row.slowest, row.seconds = max(row.slowest, one.slowest), row.seconds + one.seconds
            row.lines = row.hits + row.bad + (row.lines - row.hits - row.bad)
            yield row


def lines_alone(dice: random.Random, mutate: Mutator, lines: Sequence[str]) -> str:
    """Return a log with a line a record."""
    broken = dice.choice((0.05, 0.3, 1.0))
    kept = [line for line in lines if not line.startswith("#")] or lines
    above = [line for line in lines if line.startswith("#")]
    chosen = [mutate(lines) if dice.random() < broken else dice.choice(kept) for _ in range(dice.randint(1, 60))]
    return dice.choice(("\n", "\n", "\r\n")).join([*above, *chosen, *dice.choice(([], [""]))])


def lines_in_parts(dice: random.Random, mutate: Mutator, lines: Sequence[str]) -> str:
    """Return a log of containers, with messages in several parts."""
    text = []
    docker = dice.random() < 0.5
    for _ in range(dice.randint(1, 40)):
        line = mutate(lines) if dice.random() < 0.5 else dice.choice(lines)
        while True:
            cut = dice.randint(1, max(1, len(line))) if dice.random() < 0.5 else len(line)
            part, line = line[:cut].replace("\n", ""), line[cut:]
            moment, stream = "2026-11-21T08:15:02.1Z", dice.choice(("stdout", "stdout", "stderr"))
            if docker:
                text.append(json.dumps({"log": part + "\n" * (not line), "stream": stream, "time": moment}))
            else:
                text.append(f"{moment} {stream} {'P' if line else 'F'} {part}")
            if dice.random() < 0.1:
                text.append(mutate(text))
            if not line:
                break
    return "\n".join([*text, ""])


def in_an_array(dice: random.Random, mutate: Mutator, lines: Sequence[str]) -> str:
    """Return a log whose objects stand in an array, or are spread over several lines."""
    objects = []
    for _ in range(dice.randint(1, 40)):
        line = mutate(lines) if dice.random() < 0.2 else dice.choice(lines)
        with suppress(ValueError):
            line = json.dumps(json.loads(line.encode("latin-1")), indent=dice.choice((None, 1)))
        objects.append(line)
    begin, between, end = dice.choice(
        (("[", ",\n", "]"), ("", "\n", "\n"), ('{"records": [', ",", "]}"), ("[\n", ",", ""))
    )
    text = begin + between.join(objects) + end
    return mutate([text]) if dice.random() < 0.3 else text


def read(row: Row, path: Path, dice: random.Random) -> None:
    """Read a log as a dry run does, in blocks of any size."""
    size = dice.choice((64, 700, 1 << 19))
    framing.BLOCK_SIZE = size
    source.Source.blocks.__kwdefaults__["size"] = size
    before = 0
    try:
        (job,) = jobs.prepare([str(path)], [], "time", None)
        translate: Translator | None = None
        for block in job.blocks():
            if not before <= block.offset < block.end:
                raise Broken(f"{row.what}: a block from {block.offset} to {block.end} after one that ends at {before}")
            before = block.end
            job.recognise(block)
            if job.definition is not None:
                plan = Plan(0, job.definition, EVERYTHING, HitSettings(1, "https://example.org"))
                translate = translate or Translator(plan)
                count(row, translate(block), None, block.data)
    except UsageError:  # the log is refused, as whatever is no web log is
        pass
    finally:
        framing.BLOCK_SIZE = source.Source.blocks.__kwdefaults__["size"] = source.BLOCK_SIZE


# -- strings --------------------------------------------------------------------------------------------------

STRINGS = {
    "apache": [
        '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D',
        "%v:%p %a %{%d/%b/%Y %T}t.%{msec_frac}t %U%q %{ms}T %400,501{X}i %!200{Y}o",
    ],
    "nginx": [
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_user_agent"',
        'escape=json \'{"a":"$remote_addr","t":"$time_iso8601","u":"$request_uri","n":$request_time}\'',
    ],
    "haproxy": [
        "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r",
        "%[src] [%trl] %{+Q,+E}r %(name:str)[capture.req.hdr(0)]",
    ],
    "tomcat": [
        '%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-Agent}i" %D %F',
        "%{yyyy-MM-dd HH:mm:ss.SSS Z}t %a %m %U%q %s %{X}c %{Y}r &quot;%{Z}s&quot;",
    ],
    "tomcat9": ['%h %l %u %t "%r" %s %b %D %T'],
    "goaccess": [
        '%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %T',
        "~h{, } %e %x %v %m %U %q %H %K %D %L %n",
        '{"ts": "%x.%^", "client": {"ip": ["%h:%^"]}, "a.b": "%m %U %H", "took": "%Lms"}',
    ],
    "varnish": ['%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i" %D'],
}
REGEXES = [
    r'(?P<ip>\S+) \S+ (?P<userid>\S+) \[(?P<date>.*?) (?P<timezone>.*?)\] "\S+ (?P<path>.*?) \S+" (?P<status>\d+)',
    r"(?<host>[\w.]+) (?<date>[^ ]+ [^ ]+) (?<path>/\S*+)(?: (?P<own>.*))?",
]
CONFIGURATIONS = [
    "ServerRoot /nowhere\nDefine a %h\n"
    'LogFormat "${a} %t \\"%r\\" %>s" mine\nCustomLog logs/x "%h %t %U"\nInclude *.conf\n',
    "http {\n log_format main '$remote_addr [$time_local] ' \"$request\";\n"
    " include *.conf; # x\n log_format j escape=json '{}';\n}\n",
]


def strings(dice: random.Random, mutate: Mutator, number: int) -> Iterator[Row]:
    """Try whatever describes lines: strings of servers, expressions, configurations, files of formats and wrappers."""
    lines = lines_in(catalogue.named("combined"))
    with tempfile.TemporaryDirectory() as folder:
        conf, toml = Path(folder) / "server.conf", Path(folder) / "own.toml"

        def server(string: str) -> list[Definition]:
            kind = dice.choice((f"{dice.choice([*STRINGS])}:", ""))
            given = [dice.choice((None, "%d/%b/%Y", string[:9])) for _ in range(2)]
            return [logformat.read(kind + string, times=goaccess.Times(*given))]

        def regex(string: str) -> list[Definition]:
            choice.from_regex(string, dice.choice(("", "iso8601", "%d/%b/%Y:%H:%M:%S", string[:12])))
            return []  # what it reads, and for how long, is the user's

        def configuration(text: str) -> list[Definition]:
            conf.write_text(text, "latin-1")
            [*choice.listing(conf)]
            return [logformat.read(one.string, one.name, one.escape) for one in serverconf.formats_in(conf)]

        def format_file(text: str) -> list[Definition]:
            toml.write_text(text, "utf-8", "surrogateescape")
            one = catalogue.read(toml)
            [*catalogue.describe(one)]
            return [one] if one.regex is None else []

        def wrapper_file(text: str) -> list[Definition]:
            toml.write_text(text, "utf-8", "surrogateescape")
            one = wrappers.read(toml)
            [*wrappers.describe(one)]
            one.compile()
            return []

        tomls = [path.read_text("utf-8") for path in sorted(tables.folder().glob("*.toml"))]
        around = [path.read_text("utf-8") for path in sorted(wrappers.folder().glob("*.toml"))]
        several = {
            "format strings": (server, [one for some in STRINGS.values() for one in some]),
            "regular expressions": (regex, REGEXES),
            "configurations": (configuration, CONFIGURATIONS),
            "format files": (format_file, tomls),
            "wrapper files": (wrapper_file, around),
        }
        for name, (reader, texts) in several.items():
            row = Row(name)
            for _ in range(number // len(several)):
                described(row, reader, mutate(texts), lines)
            yield row


def described(row: Row, reader: Callable[[str], list[Definition]], text: str, lines: Sequence[str]) -> None:
    """Read what describes lines, and some lines by it."""
    row.lines += 1

    def work() -> int:
        try:
            for definition in reader(text):
                parse = definition.compile()
                for line in lines:
                    with suppress(BadLine):
                        parse(line)
        except UsageError:
            return 0
        return 1

    fates: list[int] = []
    timed(row, lambda: fates.append(work()), text)
    row.hits += fates[-1]
    row.bad += not fates[-1]


def fuzz(seed: int, number: int, logs: Path | None = None) -> Iterator[Row]:
    """Try about so many lines, and a hundredth of that of strings; yield a row for each kind. Raises Broken."""
    dice = random.Random(seed)
    mutate = Mutator(dice, made(min(1000, 50 + number // 100), seed))
    further = [(DATA / "sample.log").read_text("latin-1").splitlines(), *(logs_in(logs) if logs else [])]
    yield from formats(dice, mutate, number * 6 // 10, further)
    yield from trackers(mutate, number // 10)
    yield from within(dice, mutate, number * 2 // 10)
    yield from files(dice, mutate, number // 10, further)
    yield from strings(dice, mutate, number // 100)


def main() -> None:
    """Try lines, and print what became of them."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--logs", type=Path, help="a folder of logs whose lines are broken too")
    chosen = options.parse_args()
    print(f"seed {chosen.seed}\n{HEAD}", flush=True)
    whole = Row("all")
    try:
        for row in fuzz(chosen.seed, chosen.lines, chosen.logs):
            print(row, flush=True)
            whole = Row(
                "all",
                whole.lines + row.lines,
                whole.hits + row.hits,
                whole.bad + row.bad,
                max(whole.slowest, row.slowest),
                whole.seconds + row.seconds,
            )
    except Broken as error:
        sys.exit(f"seed {chosen.seed}: {error}")
    print(whole)


if __name__ == "__main__":
    main()
