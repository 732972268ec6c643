"""What was found out about a log, for people: with colours and as wide as it is on a terminal, else plain text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from rich.cells import cell_len, chop_cells
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from piwik_import.errors import printable
from piwik_import.explain.facts import Explanation
from piwik_import.explain.line import Line, Piece
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.encoding import utf8
from piwik_import.parsers.ranking import Share

WIDTH = 100
"""Characters of a row that goes to no terminal, as far as nothing in it is longer."""
LINE = 600
"""Characters that are shown of a line in which there is no place to point at."""
LONGEST = 4096
"""Characters that are shown of a value, and on each side of a place that is pointed at."""
BEFORE = 2 / 3
"""Share of a row that stands before a caret, at most, where there is as much behind it."""
NAME = 40
"""Characters of a path, or of the name of a column."""
VALUE = 24
"""Characters of a parameter that are shown beside its name in the table; the hit has it whole."""
TIME = len("cdt = 2026-11-21 08:15:02 UTC")
NARROW = 80
"""Characters of a row in which there is room for such a time."""
UNUSED = 16
"""Names that are listed of what an object or a row has and nothing uses."""

FATES = {"hit": ("a hit", "green"), "filtered": ("left out", "yellow"), "invalid": ("invalid", "red")}

NEXT = {
    "--log-format 'STRING'": "the string by which the server was told what to write",
    "--log-format-from FILE": "the server's configuration, which holds that string",
    "--field NAME=PATH": "where a field lies, if the log is JSON",
    "--format FILE.toml": "a file that describes the lines: see formats/README.md",
}
"""What helps where no format fits."""

DAY_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[ \t]\d\d:\d\d(?::[\d.]+)?[ \t]")
"""What a row of most W3C logs begins with."""


def show(found: Explanation, stream: IO[str], notes: Sequence[str] = ()) -> None:
    """Write an explanation, with what else there is to be said of it."""
    wide = shutil.get_terminal_size((WIDTH, 0)).columns if stream.isatty() else WIDTH
    console = Console(file=stream, width=wide, highlight=False, emoji=False, markup=False)
    rows = [*_head(found, notes), *(row for line in found.lines for row in _line(line, found, console))]
    with console.capture() as capture:
        for row in rows if found.fits else [*rows, *_next(found)]:
            console.print(row, soft_wrap=not console.is_terminal and isinstance(row, Text))
    text = capture.get()
    if not console.is_terminal:  # tables end in spaces
        text = "".join(f"{row.rstrip()}\n" for row in text.split("\n")[:-1])
    stream.write(text)
    stream.flush()


def _head(found: Explanation, notes: Sequence[str]) -> Iterator[RenderableType]:
    """Say what the log is."""
    known, share = found.definition, found.share
    name = printable(found.source)
    rows: list[tuple[str, str]] = []
    if found.fits and known is not None:
        yield Text.assemble(f"{name}: ", *_format(known))
        if known.also is not None:
            yield Text.assemble("  and ", *_format(known.also))
        more = f", {share.other:,} tell of no request" if share.other else ""
        more += f", {share.invalid:,} invalid" if share.invalid else ""
        chosen = "named" if found.given else "recognised"
        rows.append(("fit", f"{_looked_at(share)}{more}; {chosen}"))
        rows.append(("runners-up", _runners_up(found)))
    else:
        what = "the format that was named does not fit" if found.given else "no format fits"
        yield Text.assemble(f"{name}: ", (what, "bold red"))
        if share.fit:
            rows.append(("fit", f"{_looked_at(share)}: too few"))
        if found.instead:
            rows.append(("would fit", found.instead))
        near = ", ".join(printable(one.definition.label) for one in found.others)
        nearest = f"{printable(known.name)}, {printable(known.title)}" if known else "none comes near"
        rows.append(
            ("named" if found.given and not near else "nearest", f"{nearest}; then {near}" if near else nearest)
        )
    if known is not None:
        wrapper = known.wrapper
        titles = "; around that: ".join(one.title for one in reversed(wrapper.layers)) if wrapper else ""
        rows.append(("wrapper", f"{wrapper.label}, {titles}" if wrapper else "none"))
    if found.zone:
        rows.append(("time zone", found.zone))
    joined = known.joined if found.fits and known is not None else []
    if ends := [printable(one.name) for one in joined if one.span]:
        whose = f"of {' and '.join(ends)}: " if len(ends) < len(joined) else ""
        told = "when requests ended; the time sent is when they began, so what they took is taken off"
        rows.append(("times", whose + told))
    rows += [("note", note) for note in notes]
    yield _grid([(Text(name, style="dim"), Text(text)) for name, text in rows], [1], least={0: 10})


def _format(known: Definition) -> Iterator[str | tuple[str, str]]:
    yield printable(known.name), "bold green"
    yield f", {printable(known.title)}"


def _runners_up(found: Explanation) -> str:
    """Name what else the log might be."""
    others = [(printable(one.definition.label), one.share) for one in found.others]
    shown = ", ".join(f"{label} {_share(share.fit, share.lines)}" for label, share in others)
    if any(share.fit >= found.share.fit for _, share in others):
        return f"{shown}; of formats that fit as many lines, the one that makes most of them is taken"
    return shown or "none"


def _looked_at(share: Share) -> str:
    return f"{_share(share.fit, share.lines)} of {share.lines:,} line{'s' * (share.lines != 1)} looked at"


def _share(fit: int, lines: int) -> str:
    """Return a share: 100 % is all of them, and 0 % is none."""
    if 0 < fit < lines:
        return f"{min(max(round(100 * fit / lines), 1), 99)} %"
    return "100 %" if fit else "0 %"


def _next(found: Explanation) -> Iterator[RenderableType]:
    known, first = found.definition, found.lines[0].text if found.lines else ""
    more = {}
    if known is not None and known.columns is not None:
        more["--w3c-map-field A=B"] = "which column stands for which, as in my-date=date"
    elif DAY_AND_TIME.match(first):
        more["--w3c-fields 'NAMES'"] = "the #Fields line, if it is missing"
    if known is not None and known.regex is not None:
        more["--log-date-format"] = "how the group `date` of the regular expression is written"
    yield Text("\nWhat may help:")
    rows = [(Text(option, style="bold"), Text(meaning)) for option, meaning in {**more, **NEXT}.items()]
    yield _grid(rows, [1], indent=2)


def _line(line: Line, found: Explanation, console: Console) -> Iterator[RenderableType]:
    """Explain a line."""
    known = found.definition
    head = Text.assemble("\n", (f"line {line.number:,}", "bold"))
    if known is not None:
        head.append("  ").append(*FATES[line.fate])
    yield head.append(f": {printable(line.said, LONGEST)}" if line.said else "")
    text, stop = line.text if line.within is None else line.within, line.anatomy.stop
    if line.within is not None:
        yield from _rows(line.text, console)
        yield Text("within it:", style="dim")
    yield from _rows(text, console) if stop is None or line.fate == "hit" else _with_caret(text, stop, console)
    if line.pieces:
        yield Text()
        yield from _table(line, console, keyed=known is not None and known.pattern is None and known.regex is None)
    if line.hit:
        for at, hit in enumerate([line.hit, *line.further]):
            yield Text("\nand as" if at else "\nsent as", style="dim")
            for name, value in hit.items():
                yield _parameter(name, printable(value, LONGEST), console)
    for name, why in line.left_out.items():
        yield Text(f"sent without {name}: {why.removeprefix('left out: ')}", style="yellow")


def _rows(text: str, console: Console) -> Iterator[Text]:
    """Yield a line of the log, folded on a terminal."""
    shown = printable(utf8(text.rstrip("\r\n")), LINE)
    for row in chop_cells(shown, console.width) if console.is_terminal else [shown]:
        yield Text(row)


def _with_caret(text: str, at: int, console: Console) -> Iterator[Text]:
    """Yield a line, or as much of it as there is room for, and a caret below the place where it stops."""
    before, after = (printable(utf8(part), LONGEST) for part in (text[:at][-LONGEST:], text[at:].rstrip("\r\n")))
    most = max(int(console.width * BEFORE), console.width - cell_len(after) - 1)
    while cell_len(before) > most:
        before = f"…{before[cell_len(before) - most + 1 :]}"
    rest = console.width - cell_len(before)
    after = after if cell_len(after) <= rest else f"{chop_cells(after, rest - 1)[0]}…"
    yield Text(before + after, no_wrap=True, overflow="ignore")
    yield Text(f"{' ' * cell_len(before)}^", style="bold red", no_wrap=True, overflow="ignore")


def _table(line: Line, console: Console, *, keyed: bool) -> Iterator[RenderableType]:
    """Yield the table of pieces; where they have names of their own (`keyed`), those without a use are only named."""
    shown = [one for one in line.pieces if one.part.fields or one.parameters or not keyed]
    names = ("text", "field", "parameter")
    rows = [[Text(name, style="dim") for name in names], *([*_cells(one, keyed=keyed)] for one in shown)]
    if line.fate == "invalid":  # then nothing becomes a parameter
        rows = [row[:-1] for row in rows]
    if shown:
        yield _grid(rows, [0, 2], indent=2, least={2: TIME if console.width >= NARROW else 0})
    unused = [printable(one.part.name, NAME) for one in line.pieces if one not in shown]
    if unused:
        more = f" and {len(unused) - UNUSED} more" if len(unused) > UNUSED else ""
        yield Padding(Text(f"not used: {', '.join(unused[:UNUSED])}{more}", style="dim"), (0, 0, 0, 2))


def _cells(piece: Piece, *, keyed: bool) -> Iterator[Text]:
    """Yield the cells of one piece."""
    part, shown = piece.part, utf8(piece.part.text)
    name = f"{printable(part.name, NAME)} " if keyed and part.name else ""
    yield Text.assemble((name, "dim"), printable(shown, LINE))
    yield Text(", ".join(part.fields) or printable(part.name, NAME), style="cyan" if part.fields else "dim")
    if piece.parameters:
        yield Text(", ".join(_given(name, value, shown) for name, value in piece.parameters.items()), style="green")
    elif not part.fields:
        yield Text("not used", style="dim")
    else:
        yield Text("absent" if shown in ("-", "") else "for the filters" * (part.fields == ("status",)), style="dim")


def _given(name: str, value: str, text: str) -> str:
    """Return a parameter, with its value if that is short and not the text itself."""
    if value == text or len(value) > VALUE or "://" in value:
        return name
    return f"{name} = {printable(value)}{' UTC' if name == 'cdt' else ''}"


def _parameter(name: str, value: str, console: Console) -> RenderableType:
    """Return one parameter of a hit; in one row where there is no terminal."""
    if not console.is_terminal:
        return Text(f"  {name:{PARAMETER}}  {value}")
    return _grid([(Text(name, style="cyan"), Text(value))], [1], indent=2, least={0: PARAMETER})


PARAMETER = len("queuedtracking")


def _grid(
    rows: Sequence[Sequence[Text]], folded: Sequence[int], *, indent: int = 0, least: Mapping[int, int] = {}
) -> RenderableType:
    """Return rows in columns that are as wide as they need to be; those `folded` share what is left.

    `least` is the least width of some columns.
    """
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    for number in range(len(rows[0])):
        table.add_column(overflow="fold", no_wrap=number not in folded, min_width=least.get(number))
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, indent))
