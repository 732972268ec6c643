"""Where the token comes from, and where it must never go."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from hashlib import md5
from pathlib import Path

import pytest
from conftest import TOKEN

from piwik_import.connection import Connection
from piwik_import.importer import Settings

PASSWORD = "pa55w0rd-of-the-proxy"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def config(tmp_path):
    """Return a function that writes the configuration file of the user."""

    def write(text, mode=0o600):
        path = tmp_path / "config" / "piwik-import" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def token_of(run_program, tracker, make_log):
    """Return a function that imports, and returns the token that the server was sent."""
    log = make_log(lines=3)

    def run(*arguments, env=()):
        server = {"PIWIK_URL": tracker.url, "PIWIK_SITE": "1"}
        outcome = run_program("--no-journal", "--base-url", "http://a.b", log, *arguments, env=server | dict(env))
        assert "chmod" not in outcome.stderr
        return tracker.bulks[-1].token

    return run


# ---- where it comes from


def test_a_token_may_be_in_a_file(token_of, token_file):
    assert token_of("--token-file", token_file) == TOKEN


@pytest.mark.parametrize("text", [b"", b"\n", b"two words", b"two\nlines", b"\xff", b"\x1b[2J", None])
def test_a_file_that_holds_no_token_is_refused_without_showing_what_it_holds(run_program, tmp_path, tracker, text):
    path = tmp_path / "token"
    if text is not None:
        path.write_bytes(text)
    outcome = run_program("--url", tracker.url, "--idsite", 1, "--token-file", path, "access.log")
    assert outcome.code == 2
    assert outcome.stderr.startswith("piwik-import: --token-file")
    assert "two" not in outcome.stderr


def test_the_loudest_place_counts(token_of, token_file, config, tmp_path):
    other = tmp_path / "other"
    other.write_text("of-a-file-in-the-configuration")
    other.chmod(0o600)
    config(f"token-file = '{other}'")
    assert token_of() == "of-a-file-in-the-configuration"
    assert token_of(env={"PIWIK_TOKEN": "of-the-environment"}) == "of-the-environment"
    assert token_of("--token-file", token_file, env={"PIWIK_TOKEN": "of-the-environment"}) == TOKEN
    assert token_of("--token-auth", "of-the-line", env={"PIWIK_IMPORT_TOKEN_FILE": str(other)}) == "of-the-line"


def test_two_tokens_in_one_place_are_one_too_many(run_program, token_file):
    outcome = run_program("--url", "a.b", "--idsite", 1, "--token-auth", "x", "--token-file", token_file, "access.log")
    assert outcome.code == 2
    assert "choose one" in outcome.stderr


@pytest.mark.parametrize("token", ["two words", "ümlaut", "a\nb"])
def test_what_is_no_token_is_refused_without_showing_it(run_program, token):
    outcome = run_program("--url", "a.b", "--idsite", 1, "access.log", env={"PIWIK_TOKEN": token})
    assert outcome.code == 2
    assert outcome.stderr.count("\n") == 1
    assert token not in outcome.stderr


@pytest.mark.parametrize("key", ["token-auth", "token", "auth-password", "proxy"])
def test_a_file_that_everybody_may_read_is_warned_of_if_it_holds_a_secret(run_program, config, key):
    path = config(f"{key} = 'http://127.0.0.1:1'\nauth-user = 'me'", 0o644)
    outcome = run_program("--dry-run", "nothing.log")
    assert str(path) in outcome.stderr
    assert "chmod 600" in outcome.stderr
    path.chmod(0o640)
    assert "chmod" not in run_program("--dry-run", "nothing.log").stderr
    config("recorders = 3", 0o644)
    assert "chmod" not in run_program("--dry-run", "nothing.log").stderr


def test_a_file_of_a_token_that_everybody_may_read_is_warned_of(run_program, token_file):
    token_file.chmod(0o644)
    outcome = run_program("--url", "a.b", "--idsite", 1, "--token-file", token_file, "nothing.log")
    assert "chmod 600" in outcome.stderr


# ---- an install on this machine


@pytest.fixture
def install(tmp_path):
    """An install as Matomo's, with a PHP that runs its script, and where its arguments go."""
    root = tmp_path / "matomo"
    for folder in ("config", "misc/cron", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "config/config.ini.php").write_text(
        '; <?php exit; ?> DO NOT REMOVE THIS LINE\n[database]\nhost = "127.0.0.1"\npassword = "100%!"\n'
        '[Plugins]\nPlugins[] = "A"\nPlugins[] = "B"\n'
    )
    (root / "misc/cron/updatetoken.php").write_text("<?php ...")
    php = tmp_path / "php"
    php.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {root}/arguments\n'
        f"printf '<?php exit; //\\t{TOKEN}' > {root}/tmp/token.php\n"
        f"echo {root}/tmp/token.php\n"
    )
    php.chmod(0o755)
    return root, php


def test_the_token_of_an_install_is_fetched_by_its_own_script(token_of, install):
    root, php = install
    assert token_of("--config", root / "config/config.ini.php", "--php-binary", php) == TOKEN
    assert "updatetoken.php" in (root / "arguments").read_text()
    assert "--matomo-domain=127.0.0.1" in (root / "arguments").read_text()


@pytest.mark.skipif(shutil.which("php") is None, reason="there is no PHP")
def test_a_real_php_runs_the_script_of_an_install(token_of, install):
    root, _ = install
    (root / "misc/cron/updatetoken.php").write_text(
        "<?php\n$root = dirname(__DIR__, 2);\n"
        'file_put_contents("$root/arguments", implode(" ", $argv));\n'
        f'file_put_contents("$root/tmp/token.php", "<?php exit; //\\t{TOKEN}");\n'
        'error_log("PHP Deprecated: whatever");\necho "$root/tmp/token.php";\n'
    )
    assert token_of("--config", root / "config/config.ini.php") == TOKEN
    assert (root / "arguments").read_text().endswith("--matomo-domain=127.0.0.1 --piwik-domain=127.0.0.1")


def test_the_configuration_of_the_user_counts_beside_an_install(token_of, install, config):
    root, php = install
    config(f"php-binary = '{php}'\nidsite = 7")
    assert token_of("--config", root / "config/config.ini.php", "--recorders", 2) == TOKEN


def test_php_is_not_run_if_the_token_is_known_already(token_of, install):
    root, php = install
    assert token_of("--config", root / "config/config.ini.php", "--php-binary", php, "--token", "known") == "known"
    assert not (root / "arguments").exists()


@pytest.mark.parametrize("token_auth", [False, True])
def test_very_old_installs_have_the_superuser_in_the_configuration(token_of, tmp_path, token_auth):
    path = tmp_path / "config.ini.php"
    password = md5(b"secret").hexdigest()
    line = f'token_auth = "{TOKEN}"\n' if token_auth else ""
    path.write_text(f'; <?php exit; ?>\n[superuser]\nlogin = "root"\npassword = "{password}"\n{line}')
    wanted = TOKEN if token_auth else md5(f"root{password}".encode()).hexdigest()
    assert token_of("--config", path, "--php-binary", "/nothing") == wanted


FAULTS = {
    "no PHP": ("no-such-php", None, ["no-such-php", "--php-binary", "PIWIK_TOKEN"]),
    "PHP that fails": (None, f"#!/bin/sh\necho 'PHP Fatal error: {TOKEN}' >&2\nexit 255\n", ["255", "Fatal error"]),
    "PHP that says nothing": (None, "#!/bin/sh\n", ["no file"]),
    "PHP that names no file": (None, "#!/bin/sh\necho /nothing/at/all\n", ["no file"]),
}


@pytest.mark.parametrize(("binary", "text", "words"), FAULTS.values(), ids=FAULTS)
def test_what_keeps_the_token_of_an_install_from_us_is_said(run_program, install, binary, text, words):
    root, php = install
    if text:
        php.write_text(text)
    arguments = ["--config", root / "config/config.ini.php", "--php-binary", binary or php]
    outcome = run_program("--url", "a.b", "--idsite", 1, *arguments, "access.log")
    assert outcome.code == 2
    assert outcome.stderr.count("\n") == 1
    assert all(word in outcome.stderr for word in words)
    assert TOKEN not in outcome.stderr


@pytest.mark.parametrize("name", ["nothing.ini.php", "config.ini.php"])
def test_what_is_no_install_is_said_to_be_none(run_program, tmp_path, name):
    (tmp_path / "config.ini.php").write_text("[database]\n")
    outcome = run_program("--url", "a.b", "--idsite", 1, "--config", tmp_path / name, "access.log")
    assert outcome.code == 2
    assert outcome.stderr.count("\n") == 1
    assert name in outcome.stderr


# ---- where it must not go


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="arguments can be overwritten on Linux")
def test_secrets_of_the_command_line_are_not_in_the_list_of_processes(start_program, tracker, make_log):
    tracker.usually = tracker.usually._replace(delay=30.0)
    proxy = tracker.url.replace("http://", f"http://me:{PASSWORD}@")
    header = "Authorization: Bearer b34r3r"
    secrets = ["--token-auth", TOKEN, "--auth-user", "me", "--auth-password", PASSWORD, "--header", header]
    arguments = ["--url", tracker.url, "--idsite", 1, *secrets, f"--proxy={proxy}", "--no-journal", make_log()]
    process = start_program(*arguments)
    tracker.wait_for_bulks(1)
    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    shown += subprocess.run(["ps", "-o", "args=", "-ww", "-p", str(process.pid)], capture_output=True, text=True).stdout
    assert "--token-auth" in shown
    assert "access.log" in shown
    for secret in (TOKEN, PASSWORD, "b34r3r"):
        assert secret not in shown
        assert secret in "".join(map(str, arguments))
    assert tracker.bulks[0].token == TOKEN
    process.kill()
    process.communicate()


def test_where_they_cannot_be_hidden_there_is_a_warning(tmp_path):
    script = "import sys; sys.platform = 'other'; from piwik_import.cli import main; main(sys.argv[1:])"
    run = subprocess.run(
        [sys.executable, "-c", script, "--dry-run", "--token-auth", TOKEN, "nothing.log"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent), "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    first, *_ = run.stderr.splitlines()
    assert "--token-auth" in first
    assert TOKEN not in run.stderr


def test_settings_do_not_show_their_secrets():
    way = Connection(
        url="http://a.b", token=TOKEN, auth_user="me", auth_password=PASSWORD, headers={"Authorization": "b34r3r"},
        proxy=f"http://me:{PASSWORD}@127.0.0.1",
    )  # fmt: skip
    shown = repr(Settings(logs=["access.log"], connection=way))
    assert "http://a.b" in shown
    for secret in (TOKEN, PASSWORD, "b34r3r"):
        assert secret not in shown


BROKEN = {
    "a request cannot be made": "import piwik_import.client.server as m\n"
    "m.bulk_body = lambda queries, token: (token + '\\xfc').encode('ascii')",
    "a setting is in the way": "import piwik_import.importer as m\n"
    "def run(settings, *_): raise RuntimeError(f'{settings!r} {settings.connection}')\n"
    "m.run = run",
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_fault_of_ours_does_not_show_the_token(tracker, make_log, tmp_path, broken):
    script = f"import sys\n{broken}\nfrom piwik_import.cli import main\nmain(sys.argv[1:])"
    run = subprocess.run(
        [sys.executable, "-c", script, "--url", tracker.url, "--idsite", "1", str(make_log())],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "HOME": str(tmp_path),
            "PIWIK_TOKEN": TOKEN,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "rror" in run.stderr
    assert_nowhere(tmp_path, run.stdout, run.stderr)


def assert_nowhere(folder, *texts):
    """Assert that no secret is in what was printed, nor in any file of a folder."""
    written = [path.read_bytes() for path in folder.rglob("*") if stat.S_ISREG(path.stat().st_mode)]
    for data in [*written, *(text.encode() for text in texts)]:
        assert TOKEN.encode() not in data
        assert PASSWORD.encode() not in data


ECHO = f"<h1>Error</h1>token_auth={TOKEN} {PASSWORD}".encode()
TROUBLES = {
    "a refusal": {"body": {"status": "success", "tracked": 0, "invalid": 5, "invalid_indices": [0, 1, 2, 3, 4]}},
    "a page that repeats the request": {"status": 502, "body": ECHO},
    "a 200 that repeats the request": {"body": ECHO},
    "a 403 that repeats the request": {"status": 403, "body": ECHO},
    "a redirect that repeats the request": {
        "status": 302,
        "headers": {"Location": f"http://127.0.0.1:1/?token_auth={TOKEN}"},
        "body": b"",
    },
    "too large": {"status": 413, "body": ECHO},
    "no answer": {"hang_up": True},
    "a 500 of the tracker": {"status": 500, "body": {"status": "error", "tracked": 1, "message": TOKEN}},
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "with --debug-tracker"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_whatever_the_server_does_no_secret_is_written_anywhere(
    run_program, tracker, make_log, tmp_path, trouble, debug
):
    tracker.answers()
    tracker.answers(times=8, **trouble)
    log = make_log(lines=50)
    env = {"PIWIK_TOKEN": TOKEN, "PIWIK_IMPORT_AUTH_PASSWORD": PASSWORD}
    options = ["--url", tracker.url, "--idsite", 1, "--auth-user", "me", "--chunk-size", 5, "--retry-for", 0.3]
    more = ["--debug-tracker"] if debug else []
    outcome = run_program(*options, *more, "--progress", "bar" if debug else "plain", log, env=env)
    assert_nowhere(tmp_path, outcome.stdout, outcome.stderr)
    assert (tmp_path / "state" / "piwik-import" / "journal.db").exists()
    assert not any(
        TOKEN in target or TOKEN in str(bulk.headers) for target in tracker.targets for bulk in tracker.bulks
    )


def test_what_the_reporting_api_says_does_not_show_the_token(run_program, tracker, make_log, tmp_path):
    tracker.api = tracker.api._replace(status=401, body={"result": "error", "message": f"{TOKEN} is no token"})
    outcome = run_program("--url", tracker.url, "--idsite", 1, make_log(), env={"PIWIK_TOKEN": TOKEN})
    assert outcome.code == 4
    assert "is no token" in outcome.stderr
    assert_nowhere(tmp_path, outcome.stdout, outcome.stderr)
    outcome = run_program("check", "--url", tracker.url, "--idsite", 1, env={"PIWIK_TOKEN": TOKEN})
    assert_nowhere(tmp_path, outcome.stdout, outcome.stderr)


@pytest.mark.parametrize("suffix", [f"a={TOKEN}", "token_auth=x", "TOKEN%5Fauth=x", f"{TOKEN[:-1]}%{ord(TOKEN[-1]):x}"])
def test_the_token_does_not_get_into_a_url_by_a_suffix(run_program, suffix):
    arguments = ["--url", "a.b", "--idsite", 1, "--request-suffix", suffix, "access.log"]
    outcome = run_program(*arguments, env={"PIWIK_TOKEN": TOKEN})
    assert outcome.code == 2
    assert outcome.stderr.startswith("piwik-import: --request-suffix")
    assert TOKEN not in outcome.stderr
