"""Logs that nobody on this project wrote; they stay where they are, so these tests run only where they lie."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest

from piwik_import.errors import UnknownFormat
from piwik_import.filters import FilterSettings
from piwik_import.hints import Hints
from piwik_import.hits import HitSettings
from piwik_import.jobs import Job
from piwik_import.parsers import catalogue, definition, wrappers
from piwik_import.parsers.detection import lines_of, recognise
from piwik_import.source import Block, Source
from piwik_import.tracking import decode
from piwik_import.translate import Batch, Plan, Translator, without_format

LOGS = Path(os.environ.get("PIWIK_IMPORT_REAL_LOGS") or Path(__file__).parent.parent.parent / "shared" / "logs")

pytestmark = pytest.mark.skipif(not LOGS.is_dir(), reason="PIWIK_IMPORT_REAL_LOGS names no folder of real logs")


@pytest.fixture(autouse=True)
def aged(monkeypatch):
    """Make all logs old: the last line of one that has just been checked out may still be growing."""
    monkeypatch.setattr("piwik_import.stream.SETTLED", 0.0)


ALL = FilterSettings(bots=True, static=True, errors=True, redirects=True)
ELASTIC = "combined_elastic_10k.log"


def recognised(source: Source) -> definition.Definition:
    around = [None, *wrappers.known().values()]
    return recognise(source.name, lines_of(source.head()), catalogue.recognisable(), around)


def imported(name: str, filters: FilterSettings = ALL) -> tuple[str, list[Batch]]:
    """Translate a log as an import would; return its format and the batches."""
    job, batches = Job(Source(str(LOGS / name)), catalogue.recognisable()), []
    translate: Callable[[Block], Batch] = without_format
    for block in job.blocks():
        job.recognise(block)
        if job.definition is not None and translate is without_format:
            plan = Plan(0, job.definition, filters, HitSettings(1, "http://example.org"), keep_hits=True)
            translate = Translator(plan)
        batches.append(translate(block))
    assert job.definition is not None
    return job.definition.label, batches


def sums(batches: list[Batch]) -> tuple[int, int, Counter[str], list[int]]:
    """Lines, hits, lines that were left out by reason, numbers of bad lines."""
    filtered: Counter[str] = Counter()
    for batch in batches:
        filtered.update(batch.filtered)
    bad = [one.line for batch in batches for one in batch.bad]
    return sum(batch.lines for batch in batches), sum(len(batch.entries) for batch in batches), filtered, bad


def test_of_ten_thousand_real_lines_all_but_the_one_that_was_cut_are_hits():
    name, batches = imported(ELASTIC)
    assert name == "combined"
    assert sums(batches) == (10_000, 9_999, {}, [8899])
    (bad,) = [one for batch in batches for one in batch.bad]
    assert bad.reason == "the line ends where '\"' should follow"


def test_number_and_end_of_ten_thousand_real_lines_are_those_of_the_file():
    lines = (LOGS / ELASTIC).read_bytes().splitlines(keepends=True)
    ends = [0, *accumulate(map(len, lines))]
    _, batches = imported(ELASTIC)
    entries = [entry for batch in batches for entry in batch.entries]
    assert [one.line for one in entries] == [number for number in range(1, 10_001) if number != 8899]
    assert [one.end for one in entries] == [ends[one.line] for one in entries]
    assert batches[-1].end == ends[-1]
    assert [one.text.encode("latin-1") + b"\n" for batch in batches for one in batch.bad] == [lines[8898]]
    for one in entries:
        line, hit = lines[one.line - 1], decode(one.query)
        assert line.startswith(hit["cip"].encode() + b" ")
        assert f" {hit['url'].removeprefix('http://example.org')} HTTP/".encode("utf-8", "surrogateescape") in line


def test_by_default_bots_static_files_errors_and_redirects_are_left_out_of_them():
    _, batches = imported(ELASTIC, FilterSettings())
    lines, hits, filtered, bad = sums(batches)
    assert (lines, bad) == (10_000, [8899])
    assert {*filtered} == {"bot", "static", "error", "redirect"}
    assert hits + filtered.total() + 1 == 10_000
    assert filtered["error"] == 220
    assert filtered["redirect"] == 164


WHOLE = {  # format, lines, hits, left out, bad
    "combined_hackers_nielsbasjes.log": ("combined", 3456, 3443, {"proxy": 13}, []),
    "combined_shop_lnav.log": ("nginx_main", 1000, 1000, {}, []),
    "combined_playground_lnav.log.gz": ("combined", 2492, 2492, {}, []),
    "nginx_opensearch_raw.log": ("nginx_main", 1408, 1408, {}, []),
    "crowdsec_nginx-http-malformed.log": ("combined", 12, 0, {"garbage_request": 12}, []),
    "crowdsec_traefik_clf.log": ("traefik_clf", 9, 7, {"blank": 2}, []),
    # Line 2 lacks ident and user.
    "combined_bad_lnav.log": ("combined", 3, 2, {}, [2]),
    # 1 and 13 to 15 are of the common format, 9 to 12 have a virtual host; 8 is cut in the user agent.
    "apache_access_plaso.log": ("combined and vhost_combined and common", 15, 14, {}, [8]),
    # 5 is of SSH, 6 of gRPC, and 7 tells of a request that is not answered yet.
    "bitbucket_access_plaso.log": ("bitbucket", 8, 5, {"garbage_request": 1, "other": 1}, [6]),
    # 6 is of the common format, 7 has a virtual host, 8 and 9 are of an error log.
    "crowdsec_apache2-logs.log": ("combined and vhost_combined and common", 9, 7, {}, [8, 9]),
    # 6 has a virtual host, 8 lacks the user, 9 is of an error log.
    "crowdsec_nginx_http-logs.log": ("combined and vhost_combined", 9, 7, {}, [8, 9]),
}


@pytest.mark.parametrize(("name", "expected"), WHOLE.items(), ids=WHOLE)
def test_every_line_of_a_real_log_is_a_hit_or_what_it_looks_like_to_the_eye(name, expected):
    log_format, batches = imported(name)
    assert (log_format, *sums(batches)) == expected


W3C = {
    "iis85_u_ex160110.log": ("iis", 128, 28, {"header": 100}),
    "iis10_plaso.log": ("iis", 5, 1, {"header": 4}),
    # Lines 5 to 7 and others have two spaces before a DOMAIN\\user.
    "iis10_edge_cases_plaso.log": ("iis", 19, 15, {"header": 4}),
    "iis_without_date_plaso.log": ("iis", 15, 11, {"header": 4}),
    "aws_cloudfront_opensearch_raw.log": ("cloudfront", 42, 40, {"header": 2}),
}


@pytest.mark.parametrize(("name", "expected"), W3C.items(), ids=W3C)
def test_every_line_of_a_real_log_with_columns_is_a_hit_or_of_a_header(name, expected):
    log_format, batches = imported(name)
    lines, hits, filtered, bad = sums(batches)
    assert (log_format, lines, hits, filtered) == expected
    assert bad == []


@pytest.mark.parametrize(
    ("name", "log_format", "lines"), [("iis4_w3c_ex960101.log", "iis", 5), ("iis_native_ex010320.log", "iis_native", 2)]
)
def test_real_logs_that_a_server_takes_for_too_old_are_read_all_the_same(name, log_format, lines):
    found, batches = imported(name)
    assert found == log_format
    assert {bad.reason.partition(":")[0] for batch in batches for bad in batch.bad} == {"cdt"}
    known = catalogue.known()[found]
    records = [*known.records(lines_of((LOGS / name).read_bytes()))]
    assert len(records) == lines
    assert all(record.ip and record.path.startswith("/") and record.status == 200 for record in records)
    assert {f"{record.time:%Y-%m-%d}" for record in records} == {"1996-01-01" if found == "iis" else "2001-03-20"}


def test_the_values_in_a_real_log_are_what_the_eye_sees():
    _, batches = imported("iis10_edge_cases_plaso.log")
    hits = {one.line: decode(one.query) for batch in batches for one in batch.entries}
    assert hits[5]["uid"] == r"random\ranuser1"
    assert hits[19]["ua"].endswith("Safari/537.36 [FB_IAB/FB4A;FBAV/35.0.0.48.273;]")
    assert hits[11]["url"].startswith("http://example.org/rpc/rpcproxy.dll?EX04.ad.RaDomain:6001&RequestId=")
    _, batches = imported("iis_without_date_plaso.log")
    assert {decode(one.query)["cdt"][:16] for batch in batches for one in batch.entries} == {"2013-07-30 00:00"}
    _, batches = imported("aws_cloudfront_opensearch_raw.log")
    agents = {decode(one.query).get("ua", "") for batch in batches for one in batch.entries}
    assert not any("%" in agent for agent in agents)


OTHERS = {
    "aws_elb_opensearch_raw.log": ("alb", 63, 63, {}),
    "crowdsec_aws-alb-logs.log": ("alb", 14, 14, {}),
    "azure_appgw_access_plaso.json": ("azure_appgw_v2", 2, 2, {}),
    "caddy_lnav_1.ndjson": ("caddy", 4, 4, {}),
    # 11 is of a reverse proxy's own log.
    "crowdsec_caddy-logs.log": ("caddy", 12, 10, {"other": 1, "blank": 1}),
    "crowdsec_cri-logs.log": ("ingress_nginx in cri", 3, 3, {}),
    "crowdsec_docker-logs.log": ("ingress_nginx in docker_json", 3, 3, {}),
    # 4, 5, 9 and 10 are text, the others JSON.
    "crowdsec_envoy-logs.log": ("envoy_json and envoy in cri", 10, 10, {}),
    "crowdsec_fastly-logs.log": ("fastly in syslog_iso", 4, 4, {}),
    # 6 is of a plug-in.
    "crowdsec_traefik_json.log": ("traefik_json", 7, 6, {"other": 1}),
}


def test_the_lines_of_haproxy_behind_syslog_are_read_and_its_words_about_itself_are_none():
    label, batches = imported("haproxy_lnav.log")
    lines, hits, filtered, bad = sums(batches)
    assert (label, lines, hits, dict(filtered), bad) == ("haproxy in syslog_3164", 17, 13, {"other": 4}, [])


@pytest.mark.parametrize(("name", "expected"), OTHERS.items(), ids=OTHERS)
def test_every_line_of_a_real_log_of_clouds_and_containers_is_what_it_looks_like_to_the_eye(name, expected):
    label, batches = imported(name)
    lines, hits, filtered, bad = sums(batches)
    assert (label, lines, hits, dict(filtered), bad) == (*expected, [])


def test_the_fields_of_real_lines_are_right():
    envoy, caddy, alb = (
        [hit for batch in imported(name)[1] for hit in batch.hits]
        for name in ("crowdsec_envoy-logs.log", "caddy_lnav_1.ndjson", "crowdsec_aws-alb-logs.log")
    )
    assert [hit["cip"] for hit in envoy[6:]] == ["192.168.1.100", "fd00:1234:5678::5a24"] * 2
    assert caddy[0]["cip"] == "10.10.10.117"
    assert caddy[0]["url"].startswith("http://mirrors.tnonline.net:400/gentoo/")
    assert caddy[0]["gt_ms"] == 18
    assert alb[1]["url"] == "https://www.example.com/robots.txt"
    assert alb[2]["url"] == "https://10.0.2.105:773/index.html"


@pytest.mark.parametrize("name", ["crowdsec_syslog-logs.log", "w3c_firewall_pf040903.log"])
def test_a_real_log_of_a_format_that_is_not_known_is_refused(name):
    with pytest.raises(UnknownFormat, match=name):
        recognised(Source(str(LOGS / name)))


def test_lines_within_syslog_that_have_no_time_are_recognised_where_no_other_format_fits():
    label, batches = imported("syslog_with_access_lnav.log")
    lines, hits, filtered, bad = sums(batches)
    assert (label, lines, hits, dict(filtered), bad) == ("untimed in syslog_3164", 5, 2, {"other": 3}, [])


def test_lines_within_syslog_that_have_no_time_get_the_one_that_syslog_wrote(tmp_path):
    path = tmp_path / "tomcat.toml"
    path.write_text("pattern = '{ip} {*} {*} \"{request}\" {status} {length} {generation_time:s}'")
    timeless = catalogue.read(path).within(wrappers.known()["syslog_3164"]).read_as(Hints(), "2014-03-25T00:00:00Z")
    source = Source(str(LOGS / "syslog_with_access_lnav.log"))
    translate = Translator(Plan(0, timeless, ALL, HitSettings(1, "http://example.org"), keep_hits=True))
    (batch,) = [translate(block) for block in source.blocks()]
    assert [hit["cdt"] for hit in batch.hits] == ["2014-03-24 14:02:50"] * 2
    assert (batch.filtered, batch.bad) == ({"other": 3}, [])
