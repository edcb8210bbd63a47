"""Payload types that several test files use; at module level, because local classes have no job name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import msgspec


@dataclass(frozen=True)
class SendWelcomeEmail:
    user_id: int


@dataclass(frozen=True)
class Resize:
    width: int
    height: int = 100


class Charge(msgspec.Struct, frozen=True):
    order: str
    cents: int


class Point(NamedTuple):
    x: int
    y: int


class Reminder(TypedDict):
    text: str


@dataclass
class Renamed:
    __job_name__ = "billing.renamed"
    value: int = 0


@dataclass
class Child(Renamed):
    pass
