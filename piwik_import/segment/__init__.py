"""Events in the words of Segment's spec → hits, as Segment's own destination for Piwik makes them.

A call of ``page``, ``screen`` or ``track`` is a hit; one that is mapped to a goal, or tells of a cart or an order, is a
further one besides. ``identify`` and ``alias`` say who is behind an anonymous id in all later hits.

Source: https://segment.com/docs/connections/spec/
"""

from piwik_import.segment.calls import Segment, SegmentSettings, besides
from piwik_import.segment.identities import Fact, Identities, after

__all__ = ["Fact", "Identities", "Segment", "SegmentSettings", "after", "besides"]
