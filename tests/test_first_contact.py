"""What a reader with fresh eyes tripped over in the first minutes; each of these failed once."""

from __future__ import annotations

import time


def test_the_question_where_the_site_is_is_asked_again_while_the_server_is_in_trouble(
    start_program, server, tracker, make_log
):
    good = tracker.api
    tracker.api = good._replace(status=503, body=b"<h1>Maintenance</h1>")
    process = start_program(make_log(lines=20), "--summary", "json", "--retry-for", 30, env=server)
    time.sleep(1.5)
    assert process.poll() is None
    tracker.api = good
    assert process.wait(30) == 0
    assert len(tracker.recorded) == 20


def test_no_proxy_stands_between_this_machine_and_itself(run_import, nowhere, make_log, tracker):
    outcome = run_import(make_log(lines=20), env={"http_proxy": nowhere, "ALL_PROXY": nowhere})
    assert outcome.code == 0
    assert len(tracker.recorded) == 20


def test_a_first_line_that_is_too_long_is_one_invalid_line(run_import, make_log, tracker):
    log = make_log(lines=20)
    log.write_bytes(b"x" * 3_000_000 + b"\n" + log.read_bytes())
    outcome = run_import(log)
    assert outcome.code == 3
    assert (outcome.summary["lines"]["invalid"], len(tracker.recorded)) == (1, 20)


def test_a_log_of_empty_lines_keeps_no_other_from_being_imported(run_import, make_log, tracker, tmp_path):
    blank = tmp_path / "blank.log"
    blank.write_bytes(b"\n\r\n")
    outcome = run_import("--no-journal", make_log(lines=20), blank)
    assert outcome.code == 0
    assert outcome.summary["lines"]["filtered"] == {"blank": 2}
    assert len(tracker.recorded) == 20


def test_a_format_that_fits_nothing_is_refused_and_nothing_counts_as_done(run_import, make_log, tracker):
    log = make_log(lines=20)
    assert run_import("--format", "nginx_json", log).code == 2
    assert tracker.bulks == []
    assert run_import(log).code == 0
    assert len(tracker.recorded) == 20


def test_a_line_without_a_host_gets_the_address_that_the_server_knows(run_import, tracker, tmp_path):
    log = tmp_path / "access.json"
    log.write_text(
        '{"ip": "192.0.2.33", "host": "_", "path": "/p", "status": "200", "referrer": "", "user_agent": "Mozilla/5.0",'
        ' "length": 1, "generation_time_milli": 0.1, "date": "2026-11-11T08:15:02+00:00"}\n'
    )
    assert run_import(log).code == 0
    assert [hit["url"] for hit in tracker.recorded] == [f"{tracker.site_url}/p"]


def test_the_end_of_whoever_reads_the_summary_is_no_failure_of_the_import(start_program, server, make_log):
    process = start_program(make_log(lines=20), env=server)
    process.stdout.close()
    process.stderr.read()
    assert process.wait(30) == 0
