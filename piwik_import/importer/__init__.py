"""The whole path: sources → blocks → batches → lanes → server. The only package that knows all of it.

`settings` is what was asked for, `reading` gets batches out of the sources, `run` has them delivered.
"""

from piwik_import.importer.run import PLACEHOLDER, run
from piwik_import.importer.settings import Settings

__all__ = ["PLACEHOLDER", "Settings", "run"]
