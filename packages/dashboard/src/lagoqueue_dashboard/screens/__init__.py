"""What each screen shows: one frozen struct a screen, which its page renders and its JSON twin encodes."""

from __future__ import annotations
