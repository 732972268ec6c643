"""Why a log is read as it is: which format it has and how sure that is, and what becomes of each piece of some lines.

`line` explains one line, `facts` a log with some of its lines; `document` and `text` show that, to programs and to
people. Nothing is sent, and nobody is asked.
"""

from piwik_import.explain.facts import Explanation, explain

__all__ = ["Explanation", "explain"]
