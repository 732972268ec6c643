"""The string by which a server was told how to write its log → the definition of that format.

Whose string it is follows from its signs: nginx's variables begin with a dollar; HAProxy, GoAccess and Tomcat know
signs that Apache does not. Where it does not, or to be sure, a name with a colon stands before it: ``tomcat:common``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from piwik_import.errors import FormatStringError
from piwik_import.parsers import apache, catalogue, goaccess, haproxy, nginx, serverconf, tomcat
from piwik_import.parsers.definition import Definition
from piwik_import.parsers.layout import Piece, template, time_is

SIGNS = {
    "nginx": r"\$\{?[a-z]",
    "haproxy": r"%(?:\(\w+\))?(?:\{[+-][QXE]|\[|ci|cp|ST|H[MUPQV]|tsc|ft|T[acRw]|\(\w+\))",
    "goaccess": r"%\^(?!FB|\{)|~h\{|%[dx]",
    "tomcat": r"%\{[^}%]*\}[crs](?![a-z])|%F(?![^{]*\})|%\{[^}%]*(?:yy|MM|dd|HH|mm|ss)[^}%]*\}t|&quot;",
    "apache": "%",
}
"""What only the strings of one server hold; the first that is found tells."""

KINDS = {
    "apache": ("Apache LogFormat", apache.SOURCE, ""),
    "nginx": ("nginx log_format", nginx.SOURCE, ""),
    "haproxy": ("HAProxy log-format", haproxy.SOURCE, "hash"),
    "tomcat": ("Tomcat access log pattern", tomcat.SOURCE, ""),
    "tomcat9": ("Tomcat access log pattern, up to version 9", tomcat.SOURCE, ""),
    "goaccess": ("GoAccess log-format", goaccess.SOURCE, ""),
    "lighttpd": ("lighttpd accesslog.format", "https://redmine.lighttpd.net/projects/lighttpd/wiki/Mod_accesslog", ""),
    "varnish": ("varnishncsa format", "https://varnish-cache.org/docs/trunk/reference/varnishncsa.html#format", ""),
}
"""Title, page of the maker, and how the server escapes."""


def kind_of(string: str, times: goaccess.Times = goaccess.USUAL) -> tuple[str, str]:
    """Return whose string it is, and the string without what said so. Raises FormatStringError.

    Nobody but GoAccess is told how `times` are written.
    """
    kind, colon, rest = string.partition(":")
    if colon and kind in KINDS:
        return kind, rest
    if string.upper() in goaccess.NAMED or (times != goaccess.USUAL and "%" in string):
        return "goaccess", string
    bare = re.sub(r"%\{[^}]*\}", "%{}", string)  # an argument may hold signs of its own, those of strftime
    for kind, sign in SIGNS.items():
        if re.search(sign, bare if kind == "goaccess" else string):
            return kind, string
    reason = "This is no server's format string: there is neither a %directive nor a $variable in it:"
    raise FormatStringError(string, 0, reason)


def read(string: str, name: str = "", escape: str = "", times: goaccess.Times = goaccess.USUAL) -> Definition:
    """Return the definition of what a server writes for `string`, called `name`.

    `escape` is the parameter of nginx's log_format; `times` belong to GoAccess.

    Raises FormatStringError.
    """
    if pasted := serverconf.pasted(string):
        string, name, escape = pasted.string, name or pasted.name, pasted.escape
    kind, string = kind_of(string, times)
    if kind.startswith("tomcat"):
        string = string.replace("&quot;", '"')  # as its server.xml has it
    title, source, escapes = KINDS[kind]
    objects = None
    if kind == "nginx":
        if found := re.match(r"escape=(default|json|none)\s+", string):
            escape, string = found[1], string[found.end() :]
        elif string.startswith("escape="):
            raise FormatStringError(string, len("escape="), "There are escape=default, escape=json and escape=none:")
        objects = nginx.objects(string) if escape == "json" else None
        escapes = "none" if escape == "none" else ""
    string = string.rstrip("\r\n")
    shown = string if len(string) <= 60 else f"{string[:60]}…"
    described = Definition(name=name or kind, title=f"{title}: {shown}", source=source, escapes=escapes)
    if objects is not None:
        return replace(described, json=objects.keys, time_is=objects.time_is)
    if kind == "goaccess" and goaccess.is_json(string):
        return replace(described, json=goaccess.keys(string, times))
    pieces = [*_pieces(kind, string, escape, times)]
    others = catalogue.named("haproxy").others if kind == "haproxy" else ()
    return replace(described, pattern=template(string, pieces), time_is=time_is(pieces), others=others)


def _pieces(kind: str, string: str, escape: str, times: goaccess.Times) -> Iterator[Piece]:
    readers: dict[str, Callable[[], Iterator[Piece]]] = {
        "apache": lambda: apache.pieces(string),
        "lighttpd": lambda: apache.pieces(string, at_end=True),
        "varnish": lambda: map(_absolute, apache.pieces(string)),
        "nginx": lambda: nginx.pieces(string, escape if escape != "default" else ""),
        "haproxy": lambda: haproxy.pieces(string),
        "tomcat": lambda: tomcat.pieces(string),
        "tomcat9": lambda: tomcat.pieces(string, milliseconds=True),
        "goaccess": lambda: goaccess.pieces(string, times),
    }
    return readers[kind]()


def _absolute(piece: Piece) -> Piece:
    """Say of a request line that Varnish wrote it: the host is always in it."""
    return piece._replace(form="absolute_host") if piece.field == "request" else piece
