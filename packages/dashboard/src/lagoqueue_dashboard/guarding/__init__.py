"""Who may see and act, and what protects them from others."""

from __future__ import annotations
