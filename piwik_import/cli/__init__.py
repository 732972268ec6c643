"""The command line: options, environment and configuration file → settings → exit code.

`import` is the default command, so that ``piwik-import access.log`` is all it takes. Whatever loads httpx, rich or
sqlite3 is imported inside the commands: ``--help`` and ``--version`` do without.
"""

from piwik_import.cli.main import main

__all__ = ["main"]
