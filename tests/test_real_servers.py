"""Logs that real servers wrote of awkward requests, read by detection and by the string that the server was given.

The servers are Debian's packages; where one is not installed its test is skipped. Each runs as an ordinary user, on
loopback, in a folder of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import trustme

from piwik_import.parsers import catalogue, definition, logformat, nginx
from piwik_import.parsers.choice import from_configuration
from piwik_import.parsers.detection import lines_of, recognise
from piwik_import.parsers.record import OtherLine, Record
from piwik_import.sandbox import Sandbox

NOBODY = 65534
USER = "jane doe"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"
pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Asked:
    """One request, and what its line of the log must say."""

    name: str
    raw: bytes
    expected: Mapping[str, Any] = field(default_factory=dict)
    family: int = socket.AF_INET


def request(
    name: str,
    target: str = "/",
    *,
    method: str = "GET",
    agent: bytes = AGENT.encode(),
    referrer: bytes = b"",
    user: str = "",
    version: str = "HTTP/1.1",
    family: int = socket.AF_INET,
    **expected: Any,
) -> Asked:
    headers = [b"Host: www.example.com", b"Connection: close", b"User-Agent: " + agent]
    headers += [b"Referer: " + referrer] if referrer else []
    if user:
        headers.append(b"Authorization: Basic " + base64.b64encode(f"{user}:secret".encode()))
    path, mark, query = target.partition("?")
    says = {
        "method": method,
        "path": path,
        "query": query if mark else None,
        "user_agent": agent.decode("utf-8", "surrogateescape"),
        "referrer": referrer.decode("utf-8", "surrogateescape") or None,
        "ip": "::1" if family == socket.AF_INET6 else "127.0.0.1",
    }
    line = f"{method} {target} {version}".encode("utf-8", "surrogateescape")
    return Asked(name, b"\r\n".join([line, *headers, b"", b""]), says | expected, family)


REQUESTS = [
    request("plain", "/plain?a=1&b=%20c", referrer=b"https://www.example.org/?q=1"),
    request("quotes", "/quotes", agent=b'say "hi" \\ there\\', referrer=b'https://www.example.org/?q="a b"'),
    request("bytes", "/bytes", agent=b"caf\xc3\xa9 \xff \xe2\x82\xac"),
    request("tab", "/tab", agent=b"a\tb"),
    request("brackets", "/brackets?a[]=1&b={x|y}", agent=b"[a] {b|c} #22 %41 $x"),
    request("quotes in the target", '/q"u"?x="y"'),
    request("backslash in the target", "/a\\b?c\\x41"),
    request("bytes in the target", "/caf\u00e9?\u20ac"),
    request("long query", "/long?q=" + "x" * 3000),
    request("slashes", "//twice//slashed"),
    request("HEAD", "/head", method="HEAD"),
    request("HTTP/1.0", "/one", version="HTTP/1.0"),
    request("absolute", "http://www.example.com/abs?x=1", path="/abs"),
    Asked(
        "asterisk", b"OPTIONS * HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n", {"problem": "asterisk"}
    ),
    request("a user", "/private", user=USER),
    request("IPv6", "/six", family=socket.AF_INET6),
    Asked("HTTP/0.9", b"GET /nine\r\n", {"path": "/nine", "method": "GET"}),
    Asked("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", {"problem": "garbage_request"}),
    Asked("no HTTP", b"HELP me\r\n\r\n", {"problem": "garbage_request"}),
    Asked("half a request", b"GET /half HTTP/1.1\r\nHost: a", {"status": 408}),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the servers' user may write to, on a machine that knows IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no ::1")
    place = Path(tempfile.mkdtemp(prefix="servers"))
    if os.getuid() == 0:
        os.chown(place, NOBODY, NOBODY)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def installed(*programs: str) -> str:
    for program in programs:
        if found := shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            return found
    pytest.skip(f"{programs[0]} is not installed")


@contextmanager
def running(folder: Path, *command: str, port: int = 0, patience: float = 30.0) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server as an ordinary user, from when it answers at `port` until the end of the block."""
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    with (folder / f"{Path(command[0]).name}.out").open("ab") as output:
        server = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **who
        )
    try:
        deadline = time.monotonic() + patience
        while port:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert server.poll() is None, "\n".join(one.read_text("utf-8", "replace") for one in folder.glob("*.out"))
            assert time.monotonic() < deadline, f"{command[0]} does not answer"
            time.sleep(0.05)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def ask(port: int, asked: Asked) -> bytes:
    """Send a request and return the answer, read to the end of the connection."""
    host = "::1" if asked.family == socket.AF_INET6 else "127.0.0.1"
    answer = b""
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(asked.raw)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def written(log: Path, lines: int) -> list[str]:
    """Return the lines of a log, as soon as there are so many."""
    deadline = time.monotonic() + 20
    while True:
        text = log.read_bytes() if log.exists() else b""
        found = text.count(b"\n")
        if found >= lines:
            return lines_of(text)
        assert time.monotonic() < deadline, f"{log.name} has {found} lines of {lines}"
        time.sleep(0.05)


def asked_of(port: int, silent: Sequence[str] = ()) -> list[Asked]:
    """Send all requests one after another; return those of which the server writes a line."""
    for one in REQUESTS:
        ask(port, one)
    return [one for one in REQUESTS if one.name not in silent]


def check(
    log: Path,
    asked: Sequence[Asked],
    *definitions: definition.Definition,
    deviations: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    without: Sequence[str] = (),
) -> None:
    """Compare every line of a log, as each of the definitions reads it, with what was asked for.

    `deviations` are what the server makes of single requests, `without` the fields that it does not log.
    """
    lines = written(log, len(asked))
    assert len(lines) == len(asked)
    for one in definitions:
        parse = one.compile()
        for line, request in zip(lines, asked, strict=True):
            expected = dict(request.expected) | deviations.get(request.name, {})
            record = parse(line)
            found = {name: getattr(record, name) for name in expected if name not in without}
            assert found == {name: expected[name] for name in found}, f"{one.name}, {request.name}: {line}"


def detected(log: Path, name: str) -> definition.Definition:
    """Return the format that is recognised for a log, which must be that of `name`."""
    found = recognise(log.name, lines_of(log.read_bytes()), catalogue.recognisable())
    assert found.name == name
    return found


def test_nginx(folder):
    port = free_port()
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in "client_body proxy fastcgi uwsgi scgi".split()
    )
    main = (
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" "$http_x_forwarded_for"'
    )
    formats = {
        "main": main,
        "timed": f"{main} rt=$request_time",
        "odd": '$msec|$host|$request_method "$uri$is_args$args"|${status}|$request_time|$remote_addr|$remote_user|'
        "$http_referer|$sent_http_content_type|$upstream_response_time|$http_user_agent",
        "parts": '[$time_iso8601] $remote_addr "$request_method $request_uri $server_protocol" $status '
        '"$http_user_agent"',
    }
    objects = {
        "objects": '{"time":"$time_iso8601","client":{"ip":"$remote_addr","user":"$remote_user"},"status":$status,'
        '"request":"$request","agent":"$http_user_agent","referrer":"$http_referer","took":$request_time}',
    }
    conf = folder / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ {temporary}\n"
        + "".join(f"log_format {name} '{text}';\n" for name, text in formats.items())
        + "".join(f"log_format {name} escape=json '{text}';\n" for name, text in objects.items())
        + "".join(f"access_log {folder}/{name}.log {name};\n" for name in ["combined", *formats, *objects])
        + f"server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; client_header_timeout 1s;\n"
        "location / { return 200 ok; } } }\n"
    )
    program = installed("nginx")
    with running(folder, program, "-p", f"{folder}", "-e", f"{folder}/error.log", "-c", f"{conf}", port=port):
        asked = asked_of(port)
    half = {"half a request": {"path": "/half"}, "asterisk": {"status": 400}, "HTTP/0.9": {"user_agent": None}}
    logs = {name: folder / f"{name}.log" for name in ["combined", *formats, *objects]}
    of_conf = {one.name: one for one in from_configuration(conf, None)}
    assert [*of_conf] == [*logs]
    combined = logformat.read(nginx.COMBINED)
    check(
        logs["combined"], asked, detected(logs["combined"], "combined"), combined, of_conf["combined"], deviations=half
    )
    check(logs["main"], asked, detected(logs["main"], "nginx_main"), logformat.read(main), of_conf["main"])
    timed = logformat.read(formats["timed"])
    check(logs["timed"], asked, detected(logs["timed"], "nginx_time"), timed, of_conf["timed"], deviations=half)
    refused = ("asterisk", "TLS", "no HTTP")  # of these nginx says nothing but the request line
    slashes = {"slashes": {"path": "/twice/slashed"}}  # $uri is what nginx made of the target
    odd = {name: {"problem": "empty_request"} for name in refused} | slashes
    check(logs["odd"], asked, logformat.read(formats["odd"]), of_conf["odd"], deviations=odd)
    empty = {name: {"problem": "empty_request"} for name in refused}
    check(logs["parts"], asked, of_conf["parts"], deviations=empty, without=["referrer", "user"])
    check(
        logs["objects"],
        asked,
        logformat.read(f"escape=json {objects['objects']}"),
        of_conf["objects"],
        without=["user", "ip"],
    )


class Sleeper(BaseHTTPRequestHandler):
    """Answers after a while."""

    def do_GET(self) -> None:
        time.sleep(SLEPT)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


SLEPT = 2.2
"""Seconds: more than two, so that the second of the end is none that the beginning may be taken for."""


def test_the_time_that_is_sent_of_a_slow_answer_of_nginx_is_that_of_its_beginning(folder, run_program):
    program, port = installed("nginx"), free_port()
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in "client_body proxy fastcgi uwsgi scgi".split()
    )
    combined = nginx.COMBINED
    formats = {
        "timed": f"{combined} $request_time",
        "exact": combined.replace("[$time_local]", "$msec") + " $request_time",
        "objects": '{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr","request":"$request","status":$status,'
        '"request_time":$request_time}',
    }
    conf = folder / "nginx.conf"
    with ThreadingHTTPServer(("127.0.0.1", 0), Sleeper) as backend, Sandbox(sites={1: "http://a.example"}) as tracker:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        conf.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\nhttp {{ {temporary}\n"
            + "".join(f"log_format {name} '{text}';\n" for name, text in formats.items())
            + "".join(f"access_log {folder}/{name}.log {name};\n" for name in formats)
            + f"server {{ listen 127.0.0.1:{port};\n"
            + f"location / {{ proxy_pass http://127.0.0.1:{backend.server_port}; }} }} }}\n"
        )
        with running(folder, program, "-p", f"{folder}", "-e", f"{folder}/error.log", "-c", f"{conf}", port=port):
            asked = time.time()
            ask(port, request("slow", "/slow"))
            answered = time.time()
        backend.shutdown()
        ways = {"timed": ([], 1), "exact": (["--log-format", formats["exact"]], 0.1), "objects": ([], 1)}
        server = {"PIWIK_URL": tracker.url, "PIWIK_TOKEN": "sandbox", "PIWIK_SITE": "1"}
        for at, (name, (options, error)) in enumerate(ways.items()):
            log = folder / f"{name}.log"
            assert len(written(log, 1)) == 1
            outcome = run_program(*options, log, "--base-url", "http://a.example", env=server)
            assert outcome.code == 0, outcome
            sent = tracker.hits()[at]["parameters"]["cdt"]
            moment = datetime.strptime(sent, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
            # Of its second the last moment may be the one; as the end was logged it would be later.
            assert asked - error - 1 <= moment <= answered - SLEPT + error, name


def test_apache(folder):
    program, port = installed("apache2", "httpd"), free_port()
    modules = Path("/usr/lib/apache2/modules")
    if not modules.is_dir():
        pytest.skip("Apache's modules are not where Debian has them")
    sha = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    (folder / "passwords").write_text(f"{USER}:{{SHA}}{sha}\n")
    (folder / "www").mkdir()
    formats = {
        "combined": r"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"",
        "vhost_combined": r"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"",
        "parts": r"%{%F %T}t.%{usec_frac}t %{%z}t\t%U\t%q\t%m\t%H\t%V\t%p\t%D\t%{ms}T\t%X\t%k\t%u\t%f\t%L\t%R\t%P"
        r"\t%{User-Agent}i\t%{c}a\t%{remote}p\t%a\t%{Referer}i\t%!200{Cookie}i\t%>s\t100%%",
        "epoch": r"%{sec}t %{c}a %>s %D %X \"%m %U%q %H\" \"%{User-Agent}i\" %S %I %{Host}i",
        "object": r"{ \"time\":\"%t\", \"ip\":\"%a\", \"request\":\"%r\", \"status\":\"%>s\","
        r" \"agent\":\"%{User-Agent}i\" }",
    }
    names = "mpm_event authz_core authn_core authn_file authz_user auth_basic reqtimeout".split()
    (folder / "modules.conf").write_text("".join(f"LoadModule {m}_module {modules}/mod_{m}.so\n" for m in names))
    (folder / "logs.conf").write_text(
        "".join(
            f'LogFormat "{text}" \\\n  {name}\nCustomLog {folder}/{name}.log {name}\n' for name, text in formats.items()
        )
    )
    conf = folder / "apache.conf"
    conf.write_text(
        f"ServerRoot {folder}\nInclude modules.conf\nListen 127.0.0.1:{port}\nListen [::1]:{port}\n"
        f"ServerName www.example.com\nPidFile {folder}/pid\nMutex file:{folder}\nDocumentRoot {folder}/www\n"
        f"ErrorLog {folder}/error.log\nRequestReadTimeout header=1\nIncludeOptional log*.conf\n"
        f"<Location /private>\nAuthType Basic\nAuthName x\nAuthUserFile {folder}/passwords\n"
        "Require valid-user\n</Location>\n"
    )
    with running(folder, program, "-DFOREGROUND", "-f", f"{conf}", port=port):
        asked = asked_of(port)
    logs = {name: folder / f"{name}.log" for name in formats}
    of_conf = {one.name: one for one in from_configuration(conf, None)}
    assert [*of_conf] == [*formats]
    for name in ("combined", "vhost_combined"):
        check(logs[name], asked, detected(logs[name], name), logformat.read(formats[name]), of_conf[name])
    # %U is what Apache made of the target, and of no target at all a dash or a word.
    odd = {"slashes": {"path": "/twice/slashed"}, "no HTTP": {"path": "/me", "problem": None}}
    parts = odd | {"TLS": {"problem": "empty_request"}}
    check(logs["parts"], asked, of_conf["parts"], logformat.read(formats["parts"]), deviations=parts)
    check(logs["epoch"], asked, of_conf["epoch"], deviations=parts, without=["referrer", "user"])
    check(logs["object"], asked, of_conf["object"], without=["referrer", "user"])


def test_lighttpd(folder):
    program, port = installed("lighttpd"), free_port()
    (folder / "passwords").write_text(f"{USER}:secret\n")
    (folder / "www").mkdir()
    string = '%h %V %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
    conf = folder / "lighttpd.conf"
    conf.write_text(
        'server.modules = ("mod_auth", "mod_authn_file", "mod_accesslog")\n'
        f'server.document-root = "{folder}/www"\nserver.port = {port}\nserver.bind = "127.0.0.1"\n'
        f'$SERVER["socket"] == "[::1]:{port}" {{ }}\nserver.max-read-idle = 1\n'
        f'server.errorlog = "{folder}/error.log"\naccesslog.filename = "{folder}/access.log"\n'
        f'auth.backend = "plain"\nauth.backend.plain.userfile = "{folder}/passwords"\n'
        'auth.require = ("/private" => ("method" => "basic", "realm" => "x", "require" => "valid-user"))\n'
    )
    with running(folder, program, "-D", "-f", f"{conf}", port=port):
        asked = asked_of(port, silent=["HTTP/0.9", "half a request"])
    log = folder / "access.log"
    check(log, asked, detected(log, "lighttpd"), logformat.read(string))
    assert {logformat.read(string).compile()(line).host for line in lines_of(log.read_bytes())} == {
        "www.example.com",
        None,
    }


def test_haproxy(folder):
    program, ports = installed("haproxy"), [free_port() for _ in range(3)]
    string = "%ci:%cp [%trl] %ST %B %Ta %{+Q}[capture.req.hdr(0)] %{+Q}[capture.req.hdr(1)] %{+Q}r"
    captures = "".join(f" capture request header {name} len 5000\n" for name in ("Host", "User-Agent"))
    answer = " http-request return status 200\n"
    conf = folder / "haproxy.cfg"
    conf.write_text(
        "global\n nbthread 1\n tune.http.logurilen 8192\n log stdout len 8192 format raw local0\ndefaults\n mode http\n"
        " log global\n timeout client 2s\n"
        " timeout http-request 1s\n option dontlognull\n"
        f"frontend plain\n{answer} bind 127.0.0.1:{ports[0]}\n bind ::1:{ports[0]}\n option httplog\n"
        f"frontend captured\n{answer} bind 127.0.0.1:{ports[1]}\n bind ::1:{ports[1]}\n option httplog\n{captures}"
        f"frontend own\n{answer} bind 127.0.0.1:{ports[2]}\n bind ::1:{ports[2]}\n"
        f' log-format "{quoted(string)}"\n{captures}'
    )
    log = folder / "haproxy.out"
    with running(folder, program, "-db", "-f", f"{conf}", port=ports[0]):
        asked = [asked_of(port) for port in ports]
        written(log, sum(map(len, asked)))
    lines = [line for line in log.read_text("latin-1").splitlines(keepends=True) if " [" in line]
    parts = {"plain": " plain ", "captured": " captured ", "own": ""}
    logs = {}
    for name, sign in parts.items():
        logs[name] = folder / f"{name}.log"
        mine = [line for line in lines if sign in line]
        lines = [line for line in lines if line not in mine]
        logs[name].write_text("".join(mine), "latin-1")
    refused = {name: {"problem": "garbage_request"} for name in ("TLS", "no HTTP")}
    nothing = {"problem": "garbage_request", "path": "", "method": "", "query": None, "user_agent": None}
    refused |= {"bytes in the target": nothing, "HTTP/0.9": {"problem": "garbage_request", "path": "", "method": ""}}
    plain, captured = detected(logs["plain"], "haproxy"), detected(logs["captured"], "haproxy_host_agent")
    without = ["referrer", "user"]
    check(
        logs["plain"],
        asked[0],
        plain,
        logformat.read("haproxy:httplog"),
        deviations=refused,
        without=[*without, "user_agent"],
    )
    check(logs["captured"], asked[1], captured, deviations=refused, without=without)
    # In a sample HAProxy writes #22 for a quote but # for itself, so one that was sent cannot be told from the other.
    refused["brackets"] = {"user_agent": '[a] {b|c} " %41 $x'}
    own = logformat.read(string.replace("hdr(0)", "hdr(host)").replace("hdr(1)", "hdr(user-agent)"))
    check(logs["own"], asked[2], own, deviations=refused, without=without)


def test_what_haproxy_writes_besides_requests_is_known_for_what_it_is(folder):
    program, ports = installed("haproxy"), [free_port() for _ in range(4)]
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "key.pem")
    conf, log = folder / "haproxy.cfg", folder / "haproxy.out"
    conf.write_text(
        "global\n nbthread 1\n log stdout len 8192 format raw local0\ndefaults\n mode http\n log global\n"
        " timeout client 2s\n timeout connect 1s\n timeout server 1s\n"
        f"frontend secure\n option httplog\n option dontlognull\n bind 127.0.0.1:{ports[0]}\n default_backend none\n"
        f" bind 127.0.0.1:{ports[1]} ssl crt {folder}/key.pem\n"
        f"frontend brief\n bind 127.0.0.1:{ports[2]}\n http-request return status 200\n"
        f"frontend bytes\n mode tcp\n option tcplog\n bind 127.0.0.1:{ports[3]}\n default_backend bytes\n"
        f"backend bytes\n mode tcp\n server one 127.0.0.1:{ports[2]}\n"
        f"backend none\n server one 127.0.0.1:{free_port()} check inter 100\n"
    )
    deadline = time.monotonic() + 20
    with running(folder, program, "-db", "-f", f"{conf}", port=ports[0]) as server:
        for port in (*ports, ports[0]):  # no TLS for the second
            ask(port, REQUESTS[0])
        while not all(sign in log.read_text() for sign in ("SSL handshake", "is DOWN", " bytes bytes/one ")):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        server.send_signal(signal.SIGUSR1)  # to end when all is done
        server.wait(20)
    lines = lines_of(log.read_bytes())
    assert any("Proxy secure stopped" in line for line in lines)
    for one in (recognise("haproxy.out", lines, catalogue.recognisable()), logformat.read("haproxy:httplog")):
        fates = [*one.records(lines)]
        assert sum(isinstance(fate, Record) for fate in fates) == 2
        assert [line for line, fate in zip(lines, fates, strict=True) if not isinstance(fate, Record | OtherLine)] == []


def quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def test_varnish(folder):
    varnishd, varnishncsa, port = installed("varnishd"), installed("varnishncsa"), free_port()
    installed("gcc", "cc")
    (folder / "all.vcl").write_text("vcl 4.1;\nbackend none none;\nsub vcl_recv { return (synth(200)); }\n")
    work, log = folder / "work", folder / "access.log"
    addresses = ["-a", f"127.0.0.1:{port}", "-a", f"[::1]:{port}"]
    command = [varnishd, "-F", "-n", f"{work}", *addresses, "-f", f"{folder}/all.vcl", "-s", "malloc,16m", "-j", "none"]
    string = '%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i"'
    with (
        running(folder, *command, "-p", "timeout_idle=1", "-p", "vsl_reclen=4k", port=port),
        running(folder, varnishncsa, "-n", f"{work}", "-w", f"{log}"),
    ):
        first = waited_for(log, port)
        asked = asked_of(port, silent=["HTTP/0.9", "half a request"])
        written(log, first + len(asked))
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[first:]))
    check(log, asked, detected(log, "varnish"), logformat.read(f"varnish:{string}"), deviations={"TLS": {"ip": None}})
    hosts = {logformat.read(f"varnish:{string}").compile()(line).host for line in lines_of(log.read_bytes())}
    assert hosts <= {"www.example.com", "localhost", None}


def waited_for(log: Path, port: int) -> int:
    """Ask until the log is written to, which begins when it likes; return the number of lines in it then."""
    for _ in range(100):
        ask(port, REQUESTS[0])
        time.sleep(0.1)
        if log.exists() and log.stat().st_size:
            break
    lines = -1
    while lines != (lines := log.read_bytes().count(b"\n")):
        time.sleep(0.5)
    return lines


def test_squid(folder):
    program, port = installed("squid"), free_port()
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as backend:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        conf = folder / "squid.conf"
        conf.write_text(
            f"http_port 127.0.0.1:{port} accel defaultsite=www.example.com\n"
            f"cache_peer 127.0.0.1 parent {backend.server_port} 0 no-query no-digest originserver name=here\n"
            "http_access allow all\nicp_access deny all\ncache deny all\nstrip_query_terms off\npinger_enable off\n"
            f"access_log stdio:{folder}/access.log squid\ncache_log {folder}/cache.log\npid_filename {folder}/pid\n"
            f"coredump_dir {folder}\nshutdown_lifetime 1 seconds\nmax_filedescriptors 256\n"
            f"request_header_max_size 64 KB\nnetdb_filename none\nicon_directory {folder}\n"
        )
        names = ["plain", "brackets", "long query", "slashes", "HEAD", "HTTP/1.0"]
        asked = [one for one in REQUESTS if one.name in names]
        log = folder / "access.log"
        with running(folder, program, "-N", "-f", f"{conf}", port=port):
            log.write_bytes(b"")  # of the first call, which only saw whether somebody answers
            for one in asked:
                ask(port, one)
            written(log, len(asked))
        backend.shutdown()
    log.write_bytes(
        b"".join(line for line in log.read_bytes().splitlines(keepends=True) if b" error:" not in line).lstrip(b"\0")
    )
    check(log, asked, detected(log, "squid"), without=["user_agent", "referrer"])


class Backend(BaseHTTPRequestHandler):
    """Answers whatever Squid asks for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"ok")

    do_HEAD = do_GET  # noqa: N815 -- http.server calls it by this name

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def test_nginx_before_a_tracker(folder, run_program):
    port = free_port()
    program = installed("nginx")
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in "client_body proxy fastcgi uwsgi scgi".split()
    )
    objects = (
        '{"time":"$time_iso8601","ip":"$remote_addr","request":"$request","status":$status,'
        '"user_agent":"$http_user_agent","referrer":"$http_referer","request_body":"$request_body"}'
    )
    posted = '$remote_addr [$time_local] "$request" $status "$http_referer" "$http_user_agent" "$request_body"'
    conf = folder / "nginx.conf"
    common = "idsite=3&rec=1&_id=af344a398df83874&_idts=1772700000"
    queries = [
        f"{common}&url=http://a.example/%E9%3Fq&action_name=%E2%82%AC+\\%22&a[]=1&a[]=\xe9",
        f"{common}&e_c=a&e_a=b&e_v=1.5&url=http%3A%2F%2Fa.example%2F&token_auth=5ec2e75ec2e7&country=fr",
    ]
    form = f"{common}&url=http://a.example/form&action_name=%22caf%C3%A9%22"
    bulk = json.dumps({"requests": [f"?{common}&url=http://a.example/{at}&action_name=é%20%22" for at in range(3)]})
    with Sandbox(sites={3: "http://a.example"}) as before, Sandbox(sites={3: "http://a.example"}) as after:
        conf.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\nhttp {{ {temporary}\n"
            f"log_format objects escape=json '{objects}'; log_format posted '{posted}';\n"
            f"access_log {folder}/combined.log combined; access_log {folder}/objects.log objects;\n"
            f"access_log {folder}/posted.log posted;\n"
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {before.url}; }} }} }}\n"
        )
        with running(folder, program, "-p", f"{folder}", "-e", f"{folder}/error.log", "-c", f"{conf}", port=port):
            for query in queries:
                ask(port, request("get", f"/piwik.php?{query}"))
            for kind, body in (("x-www-form-urlencoded", form), ("json", bulk)):
                ask(port, posting("/piwik.php", f"application/{kind}", body.encode()))
            ask(port, request("script", "/piwik.js"))
        server = {"PIWIK_URL": after.url, "PIWIK_TOKEN": "sandbox"}
        ways = {
            "combined": (["--format", "combined"], 2),
            "objects": (["--format", "json"], 6),
            "posted": (["--log-format", posted], 6),
        }
        sent, at = before.hits(), 0
        for name, (options, count) in ways.items():
            log = folder / f"{name}.log"
            outcome = run_program("--replay-tracking", *options, log, "--summary", "json", env=server)
            assert outcome.code == 0, outcome
            filtered = {"not_tracker": 1} | ({"no_body": 2} if name == "combined" else {})
            assert outcome.summary["lines"]["filtered"] == filtered
            arrived = after.hits()[at:]
            at += count
            assert [own_of(hit) for hit in arrived] == [own_of(hit) for hit in sent[:count]], name
            assert {hit["cip"] for hit in arrived} == {"127.0.0.1"}
            assert {hit["parameters"]["ua"] for hit in arrived} == {AGENT}
            assert "5ec2e7" not in str(arrived)


def posting(target: str, kind: str, body: bytes) -> Asked:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: {AGENT}\r\nContent-Type: {kind}\r\n"
    return Asked("post", f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def own_of(hit: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request itself says of a stored hit, and may say; of an array PHP numbers the places."""
    theirs = {"cip", "cdt", "ua", "queuedtracking", "country"}
    return {name: text for name, text in hit["parameters"].items() if name not in theirs and not name.startswith("a[")}
