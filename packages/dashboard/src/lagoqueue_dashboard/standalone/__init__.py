"""The dashboard as an application of its own: mounted elsewhere, behind a proxy, from the command line."""

from __future__ import annotations
