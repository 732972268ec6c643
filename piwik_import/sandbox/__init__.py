"""A small strict tracking server, to try things out on: `piwik-import --sandbox`, CI, and our own tests.

    with Sandbox() as sandbox:
        ...  # send to sandbox.url
        print(sandbox.report())

`server` takes requests from sockets to `tracker`, which decides what they are answered; `store` keeps the hits.
"""

from piwik_import.sandbox.reporting import EverySite
from piwik_import.sandbox.server import Sandbox

__all__ = ["EverySite", "Sandbox"]
