"""The string by which a server was told how to log: what is read of its lines, and what is said of a wrong one."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from piwik_import.errors import FormatError, FormatStringError, UsageError
from piwik_import.hints import Hints
from piwik_import.parsers import apache, catalogue, detection, formatfile, goaccess, logformat, nginx
from piwik_import.parsers.begin import begin
from piwik_import.parsers.choice import Choice, from_configuration, from_regex, listing
from piwik_import.parsers.record import BadLine

WHEN = datetime(2026, 11, 21, 8, 15, 2, tzinfo=UTC)
CLF = "21/Nov/2026:09:15:02 +0100"
COMBINED = '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"'
COMBINED_LINE = f'192.0.2.1 - jane doe [{CLF}] "GET /a?b=c HTTP/1.1" 200 12 "-" "say \\"hi\\""'

# string, line, some of what the line says
STRINGS = {
    "apache combined": (COMBINED, COMBINED_LINE, {"user": "jane doe", "user_agent": 'say "hi"', "time": WHEN}),
    "apache quotes of a configuration file": (
        COMBINED.replace('"', r"\""),
        COMBINED_LINE,
        {"path": "/a", "query": "b=c", "status": 200, "length": 12},
    ),
    "apache whole directive": (
        'LogFormat "%h %t \\"%r\\" %>s" mine',
        f'192.0.2.1 [{CLF}] "GET / HTTP/1.1" 404',
        {"status": 404},
    ),
    "apache in quotes": (
        '"%h %t \\"%r\\" %>s\\t%U"',
        f'192.0.2.1 [{CLF}] "GET / HTTP/1.1" 404\t/',
        {"status": 404},
    ),
    "haproxy whole directive": (
        'log-format "%ci [%trl] %{+Q}r"',
        f'192.0.2.1 [{CLF}] "GET /a HTTP/1.1"',
        {"path": "/a", "ip": "192.0.2.1"},
    ),
    "apache virtual host with its port": (
        '%v:%p %h %t "%r"',
        f'example.org:443 192.0.2.1 [{CLF}] "GET / HTTP/1.1"',
        {"host": "example.org:443", "ip": "192.0.2.1"},
    ),
    "apache microseconds before seconds": (
        '%t "%r" %T %D',
        f'[{CLF}] "GET / HTTP/1.1" 3 2750499',
        {"generation_time": 2750},
    ),
    "apache seconds alone": ('%t "%r" %T', f'[{CLF}] "GET / HTTP/1.1" 3', {"generation_time": 3000}),
    "apache milliseconds": ('%t "%r" %{ms}T %{s}T', f'[{CLF}] "GET / HTTP/1.1" 2750 2', {"generation_time": 2750}),
    "apache final status before original": ('%s %>s %t "%r"', f'401 200 [{CLF}] "GET / HTTP/1.1"', {"status": 200}),
    "apache %<s alone": ('%<s %t "%r"', f'401 [{CLF}] "GET / HTTP/1.1"', {"status": 401}),
    "apache %a before %h": (
        '%h %a %{c}a %t "%r"',
        f'a.example 192.0.2.1 10.0.0.1 [{CLF}] "GET / HTTP/1.1"',
        {"ip": "192.0.2.1"},
    ),
    "apache forwarded for alone": (
        '%{X-Forwarded-For}i %t "%r"',
        f'198.51.100.7, 10.0.0.1 [{CLF}] "GET / HTTP/1.1"',
        {"ip": "198.51.100.7"},
    ),
    "apache parts of a request": ("%t %m %U%q %H", f"[{CLF}] GET /a b?c=d HTTP/1.1", {"path": "/a b", "query": "c=d"}),
    "apache path and query": ("%t %U%q", f"[{CLF}] /a?b=c", {"path": "/a", "query": "b=c"}),
    "apache path without query": ("%t %U%q %>s", f"[{CLF}] /a 200", {"path": "/a", "query": None, "status": 200}),
    "apache time in parts": (
        "%{%d/%b/%Y %T}t.%{msec_frac}t %{%z}t %U",
        "21/Nov/2026 09:15:02.250 +0100 /",
        {"time": WHEN.replace(microsecond=250000)},
    ),
    "apache time in seconds": ("%{sec}t %U", "1795248902 /", {"time": WHEN}),
    "apache time in milliseconds": ("%{begin:msec}t %U", "1795248902250 /", {"time": WHEN.replace(microsecond=250000)}),
    "apache time in microseconds": ("%{end:usec}t %U", "1795248902000250 /", {"time": WHEN.replace(microsecond=250)}),
    "apache begin before end": ("%{end:sec}t %{begin:sec}t %U", "1795248999 1795248902 /", {"time": WHEN}),
    "apache %{begin}t": ("%{begin}t %U", f"[{CLF}] /", {"time": WHEN}),
    "apache %e %k": ("%{%e %b %Y %k:%M:%S}t %U", "21 Nov 2026  8:15:02 /", {"time": WHEN}),
    "apache conditions": (
        '%t "%r" %400,501{User-agent}i|%!200,304,302{Referer}i|',
        f'[{CLF}] "GET / HTTP/1.1" -|https://example.org/|',
        {"user_agent": None, "referrer": "https://example.org/"},
    ),
    "apache unquoted agent before a number": (
        "%t %U %{User-Agent}i %>s",
        f"[{CLF}] / Mozilla/5.0 (X11; Linux) 200",
        {"user_agent": "Mozilla/5.0 (X11; Linux)", "status": 200},
    ),
    "apache with all the rest": (
        "%A %{x}C %{x}e %f %I %k %L %{x}n %{x}o %O %{canonical}p %{local}p %{remote}p %P %{tid}P %R %S %X %^FB %{x}^ti"
        ' %{x}^to %{SSL_PROTOCOL}x %% %t "%r" %h',
        f'::1 - - /srv/a 1 2 - - - 99 443 443 9999 1 2 - 100 + 55 - - TLSv1.3 % [{CLF}] "GET / HTTP/1.1" 192.0.2.1',
        {"ip": "192.0.2.1", "length": 99},
    ),
    "apache tabs": ("%h\\t%t\\t%U", f"192.0.2.1\t[{CLF}]\t/a b", {"path": "/a b"}),
    "apache objects": (
        '{"t":"%t","ip":"%a","r":"%r","ua":"%{User-Agent}i"}',
        f'{{"t":"[{CLF}]","ip":"192.0.2.1","r":"GET / HTTP/1.1","ua":"caf\\xc3\\xa9 \\"x\\""}}',
        {"ip": "192.0.2.1", "user_agent": 'café "x"'},
    ),
    "nginx combined": (
        nginx.COMBINED,
        f'192.0.2.1 - jane doe [{CLF}] "GET /a HTTP/1.1" 200 0 "-" "x \\x22y\\x22 \\x5C"',
        {"user": "jane doe", "length": 0, "user_agent": 'x "y" \\'},
    ),
    "nginx whole directive": (
        "log_format mine '$remote_addr '\n    '[$time_local] $request_uri';",
        f"192.0.2.1 [{CLF}] /a?b",
        {"ip": "192.0.2.1", "query": "b"},
    ),
    "nginx strings alone": ("'$remote_addr '\n '[$time_local] $request_uri';", f"192.0.2.1 [{CLF}] /a", {"path": "/a"}),
    "nginx braces": (
        "${remote_addr}x$time_iso8601 $request_uri",
        "192.0.2.1x2026-11-21T09:15:02+01:00 /",
        {"time": WHEN},
    ),
    "nginx epoch and a URL": (
        "$msec|$scheme://$host$request_uri|$request_method|$status",
        "1795248902.000|https://example.org/a?b=c|POST|302",
        {"time": WHEN, "host": "example.org:443", "path": "/a", "query": "b=c", "method": "POST", "status": 302},
    ),
    "nginx scheme of the proxy before it": (
        "$host $http_x_forwarded_proto [$time_local] $uri",
        f"example.org https [{CLF}] /",
        {"host": "example.org:443"},
    ),
    "nginx https, or nothing": ("$host $https [$time_local] $uri", f"example.org - [{CLF}] /", {"host": "example.org"}),
    "nginx objects with the scheme": (
        """escape=json '{"t":"$msec","h":"$host","s":"$scheme","u":"$request_uri"}'""",
        '{"t":"1795248902.000","h":"example.org:8443","s":"https","u":"/a"}',
        {"time": WHEN, "host": "https://example.org:8443", "path": "/a"},
    ),
    "apache scheme of the proxy before it": (
        '%v %{X-Forwarded-Proto}i %t "%r"',
        f'example.org https [{CLF}] "GET / HTTP/1.1"',
        {"host": "example.org:443"},
    ),
    "nginx columns": (
        "$remote_addr|$time_local|$request_method|$uri|$args|$status",
        f"192.0.2.1|{CLF}|GET|/a b|x=1|200",
        {"time": WHEN, "path": "/a b", "query": "x=1", "status": 200},
    ),
    "nginx directive without its end": (
        "log_format mine '$remote_addr [$time_local] ' '$request_uri'",
        f"192.0.2.1 [{CLF}] /a?b",
        {"ip": "192.0.2.1", "query": "b"},
    ),
    "apache seconds with a fraction": (
        '%h %{sec}t.%{msec_frac}t "%r"',
        '192.0.2.1 1795248902.250 "GET / HTTP/1.1"',
        {"time": WHEN.replace(microsecond=250_000)},
    ),
    "apache strftime's seconds with a fraction": (
        '%h %{begin:%s}t.%{begin:usec_frac}t "%r"',
        '192.0.2.1 1795248902.250001 "GET / HTTP/1.1"',
        {"time": WHEN.replace(microsecond=250_001)},
    ),
    "apache a fraction apart": (
        '%h %t %{msec_frac}t "%r"',
        f'192.0.2.1 [{CLF}] 250 "GET / HTTP/1.1"',
        {"time": WHEN, "path": "/"},
    ),
    "nginx time without brackets": ("$remote_addr $time_local $request_uri", f"192.0.2.1 {CLF} /", {"time": WHEN}),
    "nginx upstreams": (
        '$upstream_addr $upstream_response_time $status [$time_local] "$request"',
        f'10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80 0.010, 0.020 : 0.003 200 [{CLF}] "GET / HTTP/1.1"',
        {"generation_time": 33, "status": 200},
    ),
    "nginx no upstream": ("$upstream_response_time [$time_local] $uri", f"- [{CLF}] /", {"generation_time": None}),
    "nginx the whole time before the upstream's": (
        "$upstream_response_time $request_time [$time_local] $uri",
        f"0.100 0.250 [{CLF}] /",
        {"generation_time": 250},
    ),
    "nginx forwarded for, where there is a better address": (
        '$remote_addr "$http_x_forwarded_for" [$time_local] $uri',
        f'192.0.2.1 "198.51.100.7" [{CLF}] /',
        {"ip": "192.0.2.1"},
    ),
    "nginx forwarded for, where there is none": (
        '"$http_x_forwarded_for" $realip_remote_addr [$time_local] $uri',
        f'"198.51.100.7, 10.0.0.2" 10.0.0.1 [{CLF}] /',
        {"ip": "198.51.100.7"},
    ),
    "nginx address of the PROXY protocol": (
        "$remote_addr $proxy_protocol_addr [$time_local] $uri",
        f"10.0.0.1 198.51.100.7 [{CLF}] /",
        {"ip": "198.51.100.7"},
    ),
    "nginx $uri$is_args$args": ('[$time_local] "$uri$is_args$args"', f'[{CLF}] "/a-"', {"path": "/a", "query": None}),
    "nginx $uri$is_args$args and a query": (
        "[$time_local] $uri$is_args$args",
        f"[{CLF}] /a?b-",
        {"path": "/a", "query": "b-"},
    ),
    "nginx hosts": (
        "[$time_local] $server_name $http_host $host $uri",
        f"[{CLF}] _ a.example:8080 b.example /",
        {"host": "b.example"},
    ),
    "nginx objects": (
        'escape=json {"t":"$time_iso8601","c":{"ip":"$remote_addr"},"u":"$request_uri","s":$status,'
        '"a":"$http_user_agent"}',
        '{"t":"2026-11-21T09:15:02+01:00","c":{"ip":"192.0.2.1"},"u":"/a","s":200,"a":"say \\"hi\\" \\u0001"}',
        {"time": WHEN, "path": "/a", "status": 200, "user_agent": 'say "hi" \x01'},
    ),
    "nginx objects with numbers that may be missing": (
        'escape=json {"t":"$time_iso8601","up":$upstream_response_time,"u":"$request_uri","a":"$http_user_agent"}',
        '{"t":"2026-11-21T09:15:02+01:00","up":-,"u":"/a","a":"say \\"hi\\" \\u0001"}',
        {"time": WHEN, "path": "/a", "user_agent": 'say "hi" \x01'},
    ),
    "nginx nothing escaped": (
        'escape=none $time_iso8601 $request_uri "$http_user_agent"',
        '2026-11-21T09:15:02+01:00 /a\\x41 "a\\b"',
        {"path": "/a\\x41", "user_agent": "a\\b"},
    ),
    "haproxy httplog": (
        "haproxy:httplog",
        "2001:db8::1:33317 [21/Nov/2026:08:15:02.250] fe~ be/s1 1/2/3/4/109 200 +2750 - - ---- 1/1/1/1/0 0/0 {a|b c} {}"
        ' "GET https://example.org/?#22 HTTP/2.0"',
        {"ip": "2001:db8::1", "generation_time": 109, "length": 2750, "host": "example.org:443", "query": '"'},
    ),
    "haproxy httplog without captures": (
        "httplog".join(["haproxy:", ""]),
        '192.0.2.1:1 [21/Nov/2026:08:15:02.250] fe be/<NOSRV> -1/-1/-1/-1/-1 -1 0 - - CR-- 1/1/1/1/0 0/0 "<BADREQ>"',
        {"ip": "192.0.2.1", "generation_time": None, "status": None, "problem": "garbage_request"},
    ),
    "haproxy httpslog": (
        "haproxy:httpslog",
        '192.0.2.1:1 [21/Nov/2026:08:15:02.250] fe be/s 1/2/3/4/5 200 9 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1"'
        " 0/0/0/0/0 www.example.org/TLSv1.3/TLS_AES_256_GCM_SHA384",
        {"host": "www.example.org"},
    ),
    "haproxy clf": (
        "haproxy:clf",
        '192.0.2.1 - - [21/Nov/2026:08:15:02 +0000] "GET / HTTP/1.1" 200 9 "" "" 1 250 "fe" "be" "s" 0 0 1 2 3 ---- 1 1'
        ' 1 1 0 0 0 "-" "-" "" ""',
        {"ip": "192.0.2.1", "time": WHEN, "generation_time": 3},
    ),
    "haproxy samples": (
        "%[src] %trg %HM %HP %HQ %{+Q}[capture.req.hdr(0)] {%[req.hdr(host)]|%{+E}[req.hdr(user-agent)]} %ST %Ta",
        '192.0.2.1 21/Nov/2026:08:15:02 +0000 GET /a ?b=c "x" {example.org|Mozilla/5.0 (X11)} 200 12',
        {"host": "example.org", "user_agent": "Mozilla/5.0 (X11)", "path": "/a", "query": "b=c", "generation_time": 12},
    ),
    "tomcat common": (
        "tomcat:common",
        f'192.0.2.1 - - [{CLF}] "GET / HTTP/1.1" 200 -',
        {"status": 200, "length": None},
    ),
    "tomcat combined": ("tomcat:combined", COMBINED_LINE, {"user_agent": 'say "hi"'}),
    "tomcat as in server.xml": (
        "%h %t &quot;%r&quot; %s %D",
        f'192.0.2.1 [{CLF}] "GET / HTTP/1.1" 200 2500',
        {"status": 200, "generation_time": 2},
    ),
    "tomcat microseconds": ("tomcat:%t %U%q %D", f"[{CLF}] /a?b 2500", {"generation_time": 2}),
    "tomcat milliseconds": ("tomcat9:%t %U%q %D", f"[{CLF}] /a?b 2500", {"generation_time": 2500}),
    "tomcat by its cookie": (
        "%{yyyy-MM-dd'T'HH:mm:ss.SSSZ}t %{X-Forwarded-For}i \"%r\" %s %F %S %I %{sid}c",
        '2026-11-21T09:15:02.250+0100 198.51.100.7 "GET / HTTP/1.1" 200 3 - exec-1 abc',
        {"time": WHEN.replace(microsecond=250000), "ip": "198.51.100.7"},
    ),
    "goaccess combined": ("goaccess:COMBINED", COMBINED_LINE, {"time": WHEN, "user_agent": 'say "hi"', "status": 200}),
    "goaccess by its signs": (
        '%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %T',
        f'192.0.2.1 - - [{CLF}] "GET / HTTP/1.1" 200 12 "-" "x" 0.250 more of it',
        {"ip": "192.0.2.1", "time": WHEN, "generation_time": 250},
    ),
    "goaccess's parts": (
        "%h %~ %m %U %q %L [%d:%t %^]",
        f"192.0.2.1    GET /a ?b=c 12 [{CLF}]",
        {"path": "/a", "generation_time": 12},
    ),
    "goaccess's list of addresses": (
        '"~h{, }" %^[%d:%t %^] "%r" %C %M %k %K',
        f'"198.51.100.7, 10.0.0.1" - - [{CLF}] "GET / HTTP/1.1" HIT text/html TLS_X TLSv1.3',
        {"ip": "198.51.100.7", "time": WHEN},
    ),
    "goaccess's objects": (
        '{"ts": "%d:%t %^", "client": {"ip": "%h:%^"}, "request": ["%m %U %H"], "a.b": "%R", "took": "%Lms"}',
        json.dumps(
            {
                "ts": CLF,
                "client": {"ip": "192.0.2.1:4711"},
                "request": ["GET /a?b=c HTTP/1.1"],
                "a.b": "https://example.org/",
                "took": "12ms",
            }
        ),
        {"ip": "192.0.2.1", "time": WHEN, "path": "/a", "referrer": "https://example.org/", "generation_time": 12},
    ),
    "goaccess whole directive": (
        'log-format %h %^[%d:%t %^] "%r" %s',
        f'192.0.2.1 - - [{CLF}] "GET / HTTP/1.1" 404',
        {"time": WHEN, "status": 404},
    ),
    "goaccess's objects with a query of its own": (
        '{"d": "%d", "t": "%t", "u": "%U", "q": "%q", "agents": ["%u"], "x": "%^", "y": "", "z": 1}',
        '{"d": "21/Nov/2026", "t": "08:15:02", "u": "/a", "q": "?b=c", "agents": ["curl/8.9"], "x": {}}',
        {"time": WHEN, "path": "/a", "query": "b=c", "user_agent": "curl/8.9"},
    ),
    "varnish": (
        "varnish:" + COMBINED,
        COMBINED_LINE.replace("/a", "http://example.org/a"),
        {"host": "example.org", "path": "/a"},
    ),
}


@pytest.mark.parametrize(("string", "line", "expected"), STRINGS.values(), ids=STRINGS)
def test_a_line_is_read_by_the_string_that_its_server_was_given(string, line, expected):
    made = logformat.read(string)
    record = made.compile()(line.encode().decode("latin-1"))
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(("string", "line"), [row[:2] for row in STRINGS.values()], ids=STRINGS)
def test_the_format_file_made_of_a_string_reads_back_and_proves_itself(string, line, tmp_path):
    made = logformat.read(string)
    path = tmp_path / f"{made.name}.toml"
    samples = [*formatfile.samples(made, [line.encode().decode("latin-1")])]
    path.write_text(formatfile.text(made, samples), "utf-8")
    read = catalogue.read(path)
    assert len(read.samples) == 1
    expected = dict(read.samples[0])
    record = read.compile()(expected.pop("line").encode().decode("latin-1"))
    assert {name: getattr(record, name) for name in expected} == expected
    assert [read.title, read.source, read.pattern, read.json, read.escapes] == [
        made.title,
        made.source,
        made.pattern,
        made.json,
        made.escapes,
    ]


def test_date_and_time_of_goaccess_may_be_given():
    string = "%^ %v [%d %t] %h %r %s"
    made = Choice(log_format=string, date_format="%Y-%m-%d", time_format="%H:%M:%S").formats()[0]
    record = made.compile()("x example.org [2026-11-21 08:15:02] 192.0.2.1 GET / HTTP/1.1 200")
    assert (record.time, record.path, record.host, record.status) == (WHEN, "/", "example.org", 200)


GIVEN_TIMES = {
    "seconds": ({"date_format": "%s", "time_format": "%s"}, "%x", "1795248902.000"),
    "milliseconds": ({"date_format": "%*", "time_format": "%*"}, "%x", "1795248902000"),
    "microseconds": ({"date_format": "%f", "time_format": "%f"}, "%x", "1795248902000000"),
    "one number": ({"date_format": "%Y%m%d", "time_format": "%H%M%S"}, "%x", "20261121081502"),
    "both": ({"datetime_format": "%d/%b/%Y:%H:%M:%S %z"}, "[%x]", f"[{CLF}]"),
    "by name": ({"date_format": "W3C", "time_format": "w3c"}, "%d %t", "2026-11-21 08:15:02"),
    "by the name of one with a stamp": ({"date_format": "SQUID", "time_format": "SQUID"}, "%x", "1795248902.000"),
}


@pytest.mark.parametrize(("given", "specifiers", "text"), GIVEN_TIMES.values(), ids=GIVEN_TIMES)
def test_what_times_of_goaccess_are_may_be_said_in_all_its_ways(given, specifiers, text):
    (made,) = Choice(log_format=f"{specifiers} %h %U %^", **given).formats()
    assert made.compile()(f"{text} 192.0.2.1 / -").time == WHEN


def test_who_says_how_times_are_written_has_a_string_of_goaccess():
    (made,) = Choice(log_format='%h %t "%r" %s %b %L', time_format="%*").formats()  # Apache has the same directives
    record = made.compile()('192.0.2.1 1795248902000 "GET / HTTP/1.1" 200 12 300')
    assert (made.name, record.time, record.generation_time) == ("goaccess", WHEN, 300)
    (made,) = Choice(log_format='apache:%h %t "%r" %s %b %D', time_format="%*").formats()
    assert made.name == "apache"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"date_format": "%s", "time_format": "%s"}, 1795248902.0),
        ({"date_format": "%Y-%m-%d", "time_format": "%Y-%m-%dT%H:%M:%S"}, "2026-11-21T09:15:02.000+01:00"),
    ],
    ids=["epoch", "iso"],
)
def test_the_fraction_and_the_zone_that_goaccess_passes_over_in_an_object_are_read(given, text):
    (made,) = Choice(log_format='{"ts": "%x.%^", "uri": "%U"}', **given).formats()
    assert made.compile()(json.dumps({"ts": text, "uri": "/"})).time == WHEN


@pytest.mark.parametrize("name", goaccess.NAMED)
def test_goaccess_own_names_need_not_be_said_to_be_its_own(name):
    assert logformat.read(name).pattern == logformat.read(f"goaccess:{name.lower()}").pattern


@pytest.mark.parametrize("prefix", ["", "goaccess:"])
@pytest.mark.parametrize("name", goaccess.OURS)
def test_goaccess_names_of_formats_that_come_along_are_those_formats(name, prefix):
    made = Choice(log_format=f"{prefix}{name}").formats()
    assert [one.name for one in made] == [*goaccess.OURS[name]]
    for one in made:
        lines = [line for sample in one.samples for line in sample["line"].strip().split("\n")]
        assert detection.recognise("", lines, made, given=True).name == one.name


def test_cloud_storage_is_read_as_goaccess_does():
    line = (
        '"1795248902000000","192.0.2.1","1","","GET","/b/o?x=1","200","0","1045","2500","storage.example.com",'
        '"https://example.org/","curl/8.9","AEnB","GET_Object","b","o"'
    )
    record = logformat.read("CLOUDSTORAGE").compile()(line)
    assert (record.time, record.path, record.length, record.generation_time) == (WHEN, "/b/o", 1045, 2)
    assert (record.referrer, record.user_agent) == ("https://example.org/", "curl/8.9")


def test_day_and_time_of_day_may_stand_apart():
    record = logformat.read("%{%F}t %h %{%T}t %U").compile()("2026-11-21 192.0.2.1 08:15:02 /")
    assert record.time == WHEN


ERRORS = {
    "no sign": ("hello", 0, "no server's format string"),
    "unknown directive": ("%h %y %t %r", 3, "%y is no directive of Apache's LogFormat"),
    "percent at the end": ('%h %t "%r" %', 11, "the beginning of nothing"),
    "brace that is not closed": ("%h %t %r %{Foo", 10, "not closed"),
    "header without a name": ("%h %t %r %i", 9, "%i needs a name"),
    "unknown kind of port": ("%h %t %r %{up}p", 11, "%p knows no {up}"),
    "unknown unit": ("%h %t %r %{h}T", 11, "%T knows no {h}"),
    "unknown directive of strftime": ("%h %{%d/%Q}t %r", 8, "%Q of strftime cannot be read back"),
    "no day": ("%h %{%H:%M}t %r", 3, "does not say day and time of day"),
    "neither time nor client": ("%{Referer}i -> %U", 17, "There is neither a time nor a client in it"),
    "no request": ("%h %t %>s", 9, "There is no request in it"),
    "nothing between": ('%h%u %t "%r"', 2, "Nothing stands between"),
    "dollar alone": ("$remote_addr $ $uri", 13, "the beginning of no variable's name"),
    "haproxy's variable": ("haproxy:%ci %zz %t %r", 4, "%zz is no variable of HAProxy's"),
    "haproxy's JSON": ("%{+json}o %(ip)ci", 2, "encodes as JSON"),
    "haproxy's tcplog": ("haproxy:tcplog", 0, "connections, not requests"),
    "tomcat's directive": ("tomcat:%h %t %r %Q", 9, "%Q is nothing that Tomcat"),
    "tomcat's other valve": ("tomcat:date time cs-uri", 0, "ExtendedAccessLogValve"),
    "java's letters": ("%h %{yyyy-ww}t %r %S %{a}s", 10, "ww of SimpleDateFormat"),
    "nginx's escape": ("escape=xml $remote_addr [$time_local] $uri", 7, "escape=default, escape=json and escape=none"),
    "goaccess's specifier": ("goaccess:%h %^[%d:%t %^] %y", 16, "%y is no specifier of GoAccess"),
    "goaccess's specifier in an object": ('{"a": "%x", "b": {"c": "%y"}}', 24, "%y is no specifier of GoAccess"),
    "goaccess's specifier without quotes": (
        '{"a": "%x", "b": %U}',
        17,
        "with its specifiers in quotes; Expecting value",
    ),
    "goaccess's object without an end": ('goaccess:{"a": "%x"', 10, "with its specifiers in quotes; Expecting"),
    "goaccess's two in one value": ('{"a": "%x", "b": "%h %U"}', 18, "one thing can be read"),
    "goaccess's text before a time": ('{"a": "at %x", "b": "%U"}', 7, "one thing can be read"),
    "goaccess's key that comes twice": (
        '{"a": "%v", "a": "%h", "b": "%x", "c": "%r", "d": ""}',
        0,
        "a key comes twice",
    ),
    "goaccess's objects without a request": ('{"a": "%x", "b": "%m"}', 22, "There is no request in it"),
    "goaccess's addresses without a comma": ("~h{ } [%x] %U", 0, "with a comma in it"),
}


@pytest.mark.parametrize(
    "string",
    ['%h "%r" %>s %b', '$remote_addr "$request" $status $body_bytes_sent', 'tomcat:%h "%r" %s %b'],
    ids=["apache", "nginx", "tomcat"],
)
def test_a_string_without_a_time_is_read_within_what_has_one(tmp_path, run_here, string):
    rows = [f'192.0.2.{row} "GET /{row} HTTP/1.1" 200 12' for row in range(1, 4)]
    bare, syslog = tmp_path / "bare.log", tmp_path / "syslog.log"
    bare.write_text("".join(f"{row}\n" for row in rows))
    syslog.write_text("".join(f"<190>2026-11-22T10:00:0{at}+01:00 web www: {row}\n" for at, row in enumerate(rows)))
    read = run_here("--dry-run", "--output", "-", "--summary", "none", "--log-format", string, syslog)
    hits = [json.loads(line) for line in read.stdout.splitlines()]
    assert [hit["cdt"] for hit in hits] == [f"2026-11-22 09:00:0{second}" for second in range(3)]
    refused = run_here("--dry-run", "--log-format", string, bare)
    assert refused.code == 2
    assert "its lines have no time, and nothing that is around them gives one" in refused.stderr
    for log in (bare, syslog):
        made = run_here("formats", "--make", string, log)
        assert (made.code, made.stdout.count("[[sample]]"), "time =" in made.stdout) == (0, 2 * (log is bare), False)


@pytest.mark.parametrize(("string", "at", "reason"), ERRORS.values(), ids=ERRORS)
def test_an_error_points_at_the_character(string, at, reason):
    with pytest.raises(FormatStringError) as caught:
        logformat.read(string)
    message, shown, caret = str(caught.value).split("\n")
    assert reason in message
    assert (caught.value.at, caret) == (at, " " * (4 + at) + "^")
    assert shown == f"    {caught.value.text}"


def test_an_error_in_a_long_string_shows_the_part_that_matters_and_nothing_that_a_terminal_obeys():
    with pytest.raises(FormatStringError) as caught:
        logformat.read("\x1b[2J" * 100 + "%h %y")
    _, shown, caret = str(caught.value).split("\n")
    assert "\x1b" not in shown
    assert shown[len(caret) - 1 :] == "%y" or len(shown) < 220


REGEX = (
    r'(?P<ip>\S+) \S+ (?P<userid>\S+) \[(?P<date>.*?) (?P<timezone>.*?)\] "(?P<method>\S+) (?P<path>.*?) \S+" '
    r"(?P<status>\d+) (?P<length>\S+) (?P<generation_time_micro>\d+) (?P<whatever>\w+)"
)


@pytest.mark.parametrize("regex", [REGEX, REGEX.replace("?P<", "?<")], ids=["Python's", "Perl's"])
def test_a_regular_expression_has_the_other_importers_groups(regex):
    record = from_regex(regex, "").compile()(f'192.0.2.1 - jane [{CLF}] "PUT /a?b=c HTTP/1.1" 201 12 2500 x')
    assert (record.ip, record.user, record.time, record.method) == ("192.0.2.1", "jane", WHEN, "PUT")
    assert (record.path, record.query, record.status, record.length) == ("/a", "b=c", 201, 12)
    assert record.generation_time == 2


def test_a_group_that_is_no_field_is_read_if_it_is_wanted():
    made = from_regex(REGEX, "")
    assert made.pieces == ("whatever",)
    assert made.may_have("whatever")
    assert not made.may_have("userid")
    line = f'192.0.2.1 - jane [{CLF}] "PUT /a?b=c HTTP/1.1" 201 12 2500 x'
    assert made.compile(["whatever"])(line).extra == {"whatever": "x"}
    assert made.compile()(line).extra is None
    with pytest.raises(FormatError, match="no such group: userid"):
        made.compile(["userid"])


DATES = {
    "with its zone": (r"\[(?P<date>.*?)\] (?P<path>\S+)", "", f"[{CLF}] /", WHEN),
    "without a zone": (r"\[(?P<date>\S+) .*?\] (?P<path>\S+)", "", f"[{CLF}] /", WHEN.replace(hour=9)),
    "of another form": (r"(?P<date>\S+ \S+) (?P<path>\S+)", "%Y-%m-%d %H:%M:%S", "2026-11-21 08:15:02 /", WHEN),
    "of a named form": (r"(?P<date>\S+) (?P<path>\S+)", "epoch", "1795248902 /", WHEN),
    "with the zone apart": (
        r"(?P<date>\S+ \S+) (?P<timezone>\S+) (?P<path>\S+)",
        "%Y-%m-%d %H:%M:%S",
        "2026-11-21 09:15:02 +0100 /",
        WHEN,
    ),
}


@pytest.mark.parametrize(("regex", "form", "line", "expected"), DATES.values(), ids=DATES)
def test_a_date_is_read_in_the_form_that_was_said(regex, form, line, expected):
    assert from_regex(regex, form).compile()(line).time == expected


@pytest.mark.parametrize(("scheme", "host"), [("https", "a.example:443"), ("-", "a.example")])
def test_a_scheme_may_be_a_group_beside_the_host(scheme, host):
    made = from_regex(r"\[(?P<date>.*?)\] (?P<scheme>\S+) (?P<host>\S+) (?P<path>\S+)", "")
    assert made.compile()(f"[{CLF}] {scheme} a.example /a").host == host


def test_query_string_and_units_may_be_groups_of_their_own():
    regex = r"\[(?P<date>.*?)\] (?P<path>\S+) (?P<query_string>\S+) (?P<{}>\S+)"
    for name, milliseconds in (("generation_time_secs", 1500), ("generation_time_milli", 2)):
        record = from_regex(regex.replace("{}", name), "").compile()(f"[{CLF}] /a b=c 1.5")
        assert (record.path, record.query, record.generation_time) == ("/a", "b=c", milliseconds)


def test_a_line_too_long_for_a_regular_expression_is_not_tried():
    parse = from_regex(r"(?P<path>(a*)*)b(?P<date>x)", "").compile()
    with pytest.raises(BadLine, match="longer than 16 KiB"):
        parse("a" * 20_000)
    with pytest.raises(BadLine, match="does not match"):
        parse("c")


@pytest.mark.parametrize(
    ("regex", "form", "reason"),
    [
        pytest.param(r"(?P<ip>\S+", "", r"missing \), unterminated subpattern", id="bracket"),
        pytest.param(r"(?P<date>x) (?<path>y) [z", "", "unterminated character set\n.*\n {27}\\^", id="set"),
        pytest.param(r"(?P<ip>\S+)", "", "it needs the groups `date`", id="groups"),
        pytest.param(r"(?P<date>x) (?P<path>y)", "clock", "there is no form 'clock'", id="form"),
        pytest.param(r"(?P<date>x) (?P<path>y)", "%Q", "bad directive", id="directive"),
    ],
)
def test_a_wrong_regular_expression_says_what_is_wrong(regex, form, reason):
    with pytest.raises(UsageError, match=reason):
        from_regex(regex, form)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "combined", "log_format": "%h"}, "--format and --log-format both say"),
        ({"log_format": "%h", "log_format_regex": "x"}, "--log-format and --log-format-regex both say"),
        ({"log_date_format": "%Y"}, "belongs to --log-format-regex"),
        ({"date_format": "%Y"}, "belong to GoAccess's --log-format"),
        ({"log_format": "CADDY", "date_format": "%Y"}, "CADDY knows its times"),
    ],
    ids=["format", "regex", "date", "goaccess", "goaccess by name"],
)
def test_options_that_say_two_things_are_refused(options, reason):
    with pytest.raises(UsageError, match=reason):
        Choice(**options).formats()


def test_nginx_includes_what_stands_beside_its_main_file(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text(
        "http {\n  # log_format none '$uri';\n  include conf.d/*.conf; include missing/*.conf;\n"
        "  log_format main '$remote_addr [$time_local] \"$request\" '\n    '$status'; # the end\n"
        '  log_format other escape=json "{\\"t\\":\\"$time_iso8601\\",\\"u\\":\\"$uri\\"}";\n'
        '  server { location ~ \\.php$ { set $x "a;b{c}"; } }\n}\n'
    )
    (tmp_path / "conf.d" / "a.conf").write_text('log_format tabs "$remote_addr\\t$time_local\\t$uri"; include b.sub;\n')
    (tmp_path / "b.sub").write_text("log_format short '$status';\n")
    found = from_configuration(tmp_path / "nginx.conf", None)
    assert [one.name for one in found] == ["combined", "tabs", "main", "other"]
    assert found[1].pattern == "{ip}\t{time}\t{path}"
    assert found[2].pattern == '{ip} [{time}] "{request}" {status}'
    assert found[3].json == {"time": "t:iso8601", "path": "u"}
    assert [*listing(tmp_path / "nginx.conf")][2].startswith("short  (There is no request in it")


def test_a_circle_of_includes_ends(tmp_path):
    (tmp_path / "nginx.conf").write_text("include nginx.conf;\nlog_format main '$time_iso8601 $uri';\n")
    assert {one.name for one in from_configuration(tmp_path / "nginx.conf", None)} == {"combined", "main"}
    (tmp_path / "apache.conf").write_text(f'ServerRoot {tmp_path}\nInclude apache.conf\nLogFormat "%t %U" main\n')
    assert {one.name for one in from_configuration(tmp_path / "apache.conf", None)} == {"main"}


def test_apache_includes_what_stands_under_its_root(tmp_path):
    (tmp_path / "etc" / "sites").mkdir(parents=True)
    (tmp_path / "etc" / "sites" / "one.conf").write_text('CustomLog "logs/a b.log" "%t %U" env=!x\n')
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "logs.conf").write_text('LogFormat "%h %t \\"%r\\"" \\\n   plain\n# LogFormat "%t" no\n')
    (tmp_path / "etc" / "apache2.conf").write_text(
        f'ServerRoot "{tmp_path}/root"\nDefine SITES {tmp_path}/etc/sites\n'
        "<IfModule log_config_module>\n\tInclude logs.conf\n\tIncludeOptional ${SITES}/*.conf\n</IfModule>\n"
        "LogFormat '%h \\'%r\\' %t' single\nlogformat \"%{Referer}i -> %U\" referer\nIncludeOptional nothing/*.conf\n"
    )
    found = from_configuration(tmp_path / "etc" / "apache2.conf", None)
    assert [(one.name, one.pattern) for one in found] == [
        ("plain", '{ip} [{time}] "{request}"'),
        ("CustomLog logs/a b.log", "[{time}] {path}"),
        ("single", "{ip} '{request}' [{time}]"),
    ]


def test_a_format_of_a_configuration_may_be_named(tmp_path):
    conf = tmp_path / "nginx.conf"
    conf.write_text("log_format main '$time_iso8601 $uri';\nlog_format bad '$status';\n")
    assert [one.name for one in Choice(format="main", log_format_from=conf).formats()] == ["main"]
    with pytest.raises(UsageError, match=r"no log format other in it\. Found were: combined, main, bad\."):
        Choice(format="other", log_format_from=conf).formats()
    with pytest.raises(FormatStringError, match=r"nginx\.conf:2: bad: There is no request in it"):
        Choice(format="bad", log_format_from=conf).formats()


def test_a_configuration_without_formats_says_so(tmp_path):
    conf = tmp_path / "httpd.conf"
    conf.write_text('ServerName a\nLogFormat "%h" host\n')
    with pytest.raises(
        UsageError, match=r"(?s)there is no log format in it that can be read\..*host: There is no request"
    ):
        Choice(log_format_from=conf).formats()
    with pytest.raises(UsageError, match="No such file"):
        Choice(log_format_from=tmp_path / "missing.conf").formats()


ANY = st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), min_size=1, max_size=20)
"""What a client may send: the servers take bytes, and a text is some of them."""


def as_apache_logs(text: str) -> str:
    """Escape as ap_escape_logitem does."""
    named = {8: r"\b", 10: r"\n", 13: r"\r", 9: r"\t", 11: r"\v", 34: r"\"", 92: r"\\"}
    return "".join(named.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in text.encode())


def as_nginx_logs(text: str) -> str:
    return "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\x{b:02X}" for b in text.encode())


def target(text: str) -> str:
    return "/" + "".join(c for c in text if c not in " ?*" and c.isprintable())


VALUES = st.fixed_dictionaries(
    {
        "ip": st.sampled_from(["192.0.2.1", "2001:db8::1"]),
        "user": ANY.filter(lambda text: text.strip() == text and text != "-" and "[" not in text),
        "path": ANY.map(target),
        "status": st.integers(100, 599),
        "length": st.integers(1, 10**12),
        "referrer": ANY.filter(lambda text: text != "-"),
        "user_agent": ANY.filter(lambda text: text != "-"),
        "generation_time": st.integers(0, 10**6),
    }
)

APACHE = {
    "ip": ("%a", lambda v: v),
    "user": ('"%u"', lambda v: f'"{as_apache_logs(v)}"'),
    "path": ('"%r"', lambda v: f'"GET {as_apache_logs(v)} HTTP/1.1"'),
    "status": ("%>s", str),
    "length": ("%B", str),
    "referrer": ('"%{Referer}i"', lambda v: f'"{as_apache_logs(v)}"'),
    "user_agent": ('"%{User-Agent}i"', lambda v: f'"{as_apache_logs(v)}"'),
    "generation_time": ("%{ms}T", str),
}
NGINX = {
    "ip": ("$remote_addr", lambda v: v),
    "user": ('"$remote_user"', lambda v: f'"{as_nginx_logs(v)}"'),
    "path": ('"$request"', lambda v: f'"GET {as_nginx_logs(v)} HTTP/1.1"'),
    "status": ("$status", str),
    "length": ("$body_bytes_sent", str),
    "referrer": ('"$http_referer"', lambda v: f'"{as_nginx_logs(v)}"'),
    "user_agent": ('"$http_user_agent"', lambda v: f'"{as_nginx_logs(v)}"'),
    "generation_time": ("$request_time", lambda v: f"{v // 1000}.{v % 1000:03}"),
}
OTHERS = (
    {"%l": "-", '"%{Cookie}i"': '"a=\\"b\\""', "%k": "0", "%X": "+"},
    {"$pid": "1", '"$http_cookie"': '"a=\\x22b\\x22"'},
)


@pytest.mark.parametrize(
    ("server", "time", "others"),
    [(APACHE, ("%t", f"[{CLF}]"), OTHERS[0]), (NGINX, ("[$time_local]", f"[{CLF}]"), OTHERS[1])],
    ids=["apache", "nginx"],
)
@given(VALUES, st.data())
def test_whatever_a_server_logs_by_its_string_reads_back(server, time, others, values, data):
    pairs = [(*server[name][:1], server[name][1](value)) for name, value in values.items()]
    pairs += [time, *data.draw(st.lists(st.sampled_from([*others.items()]), max_size=4))]
    pairs = data.draw(st.permutations(pairs))
    between = data.draw(st.sampled_from([" ", "|", " | ", "\t", ";;"]))
    lead = data.draw(st.sampled_from(["", "{", "<1> ", "a}b "]))
    string, line = (lead + between.join(pair[at] for pair in pairs) for at in (0, 1))
    assume(not (between == " " and "[" in lead))
    made = logformat.read(string)
    record = made.compile()(line)
    assert {name: getattr(record, name) for name in values} == values
    assert record.time == (WHEN if made.time_is == "begin" else begin(WHEN, values["generation_time"]))


@given(
    st.text(max_size=60),
    st.sampled_from(["", "apache:", "nginx:", "haproxy:", "tomcat:", "goaccess:", "%h %t %r ", "$uri"]),
)
def test_no_string_makes_anything_but_a_definition_or_an_error_that_points(text, lead):
    found = None
    try:
        logformat.read(lead + text).compile()
    except FormatStringError as error:
        found = error.at
    except UsageError:
        pass
    assert found is None or 0 <= found <= len(lead + text)


def test_apache_knows_every_directive_of_its_page():
    letters = "aABbDfhHIklLmOpPqrRsSTuUvVX"
    assert {*letters, "^FB"} == {*apache.PLAIN}
    for letter in letters:
        logformat.read(f'apache:%t "%r" %{letter}').compile()


FILLERS = ["a", '"', "\\", " ", "a, ", ' "', " 1", "1.000, ", ": "]
STRINGS_OF_ANY_KIND = [
    "%{User-Agent}i %>s %t %r %b",
    "%t %m %U%q %H %a",
    "$remote_addr | $http_user_agent | $uri $status [$time_local]",
    "$upstream_response_time $upstream_addr $status $time_local $request",
    '%h %^[%d:%t %^] "%r" %~ %s %b',
    '%{X-Forwarded-For}i:%{Host}i %u "%r" %t',
    "$scheme://$host$request_uri $msec",
]


@pytest.mark.parametrize("string", STRINGS_OF_ANY_KIND)
def test_no_line_takes_more_than_time_in_proportion_to_its_length(string):
    parse = logformat.read(string).compile()
    for at in (0, len(COMBINED_LINE) // 2, len(COMBINED_LINE)):
        for filler in FILLERS:
            long = COMBINED_LINE[:at] + filler * (LONG // len(filler)) + COMBINED_LINE[at:]
            begun = time.process_time()
            with suppress(BadLine):
                parse(long)
            assert time.process_time() - begun < 2, (at, filler)  # 10 ms; in quadratic time it would be minutes


LONG = 1 << 17
"""Characters of a line."""


BEHIND_A_PROXY = r"(?P<ip>\S+) (?P<date>\S+ \S+) (?P<path>\S+) (?P<xff>.*) user=(?P<who>\S+) at=(?P<when>\S+)"
FROM_A_PROXY = f"10.0.0.1 {CLF} /a 198.51.100.7, 203.0.113.9 user=jane at=2026-11-20T10:00:00Z"


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ({}, {"ip": "10.0.0.1", "user": None, "time": WHEN}),
        ({"fields": {"ip": ["xff"], "user": ["who"]}}, {"ip": "203.0.113.9", "user": "jane"}),
        ({"fields": {"ip": ["none", "xff"]}, "trusted_proxies": ["203.0.113.0/24"]}, {"ip": "198.51.100.7"}),
        ({"fields": {"time": ["when:iso8601"]}}, {"time": datetime(2026, 11, 20, 10, tzinfo=UTC)}),
        ({"fields": {"path": ["who"]}}, {"path": "/jane"}),
    ],
    ids=["as it is", "places", "places and proxies", "a time", "a path"],
)
def test_fields_and_proxies_of_a_regular_expression_are_what_the_user_says(hints, expected):
    definition = from_regex(BEHIND_A_PROXY, "").read_as(Hints(**hints), "")
    record = definition.compile()(FROM_A_PROXY)
    assert {name: getattr(record, name) for name in expected} == expected
    moved = {group for groups in hints.get("fields", {}).values() for group in groups}
    assert not {*definition.pieces} & {one.partition(":")[0] for one in moved}


def test_trusted_proxies_of_a_regular_expression_are_those_of_its_list_of_addresses():
    definition = from_regex(r"(?P<ip>.*) at (?P<date>\S+ \S+) (?P<path>\S+)", "")
    line = f"198.51.100.7, 203.0.113.9 at {CLF} /a"
    assert definition.compile()(line).ip == "203.0.113.9"
    assert definition.read_as(Hints(trusted_proxies=["203.0.113.9"]), "").compile()(line).ip == "198.51.100.7"


def test_a_field_in_a_group_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match=r"--field ip: the regular expression has no group a or b\."):
        from_regex(BEHIND_A_PROXY, "").read_as(Hints(fields={"ip": ["a", "b"]}), "")
