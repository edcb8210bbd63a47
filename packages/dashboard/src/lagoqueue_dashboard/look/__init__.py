"""What values look like: numbers, times, tracebacks and charts."""

from __future__ import annotations
