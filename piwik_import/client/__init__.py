"""One request to the server, and what its answer means.

`transport` carries bytes there and back, within a time that holds for the whole of a request, and `deadline` is that
time; `words` say what went wrong on the way. `meaning` tells what came back means, as an `answer`. `server` puts them
together: the tracker, the Reporting API, and redirects.
"""

from piwik_import.client.answer import Answer, Failed, Recorded, Refused, TooLarge
from piwik_import.client.server import Client

__all__ = ["Answer", "Client", "Failed", "Recorded", "Refused", "TooLarge"]
