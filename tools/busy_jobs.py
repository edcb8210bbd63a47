"""The jobs of a busy shop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChargeCard:
    """Takes the money of an order."""

    order: int
    amount: str
    currency: str = "EUR"


@dataclass(frozen=True)
class IndexFile:
    """Parses a source file."""

    path: str


@dataclass(frozen=True)
class RecalculateQuota:
    """Has no handler: its worker is of an older version."""

    account: int


@dataclass(frozen=True)
class RenderReport:
    """Makes a month's report."""

    month: str
    format: str
    recipients: list[str]


@dataclass(frozen=True)
class ResizeImage:
    """Makes a picture smaller."""

    key: str
    width: int


@dataclass(frozen=True)
class SendWelcomeEmail:
    """Greets a new customer."""

    user_id: int
    to: str
    template: dict[str, str | bool]


HANDLED = (ChargeCard, IndexFile, RenderReport, ResizeImage, SendWelcomeEmail)
"""Those that the workers have a handler for."""


def charge(number: int) -> ChargeCard:
    """Return the payment of an order."""
    return ChargeCard(88_120 + number, f"{19 + 7 * number}.90")


def email(number: int) -> SendWelcomeEmail:
    """Return the e-mail to a customer."""
    return SendWelcomeEmail(
        number, f"customer{number}@example.org", {"name": "welcome", "language": "en", "html": True}
    )


def image(number: int) -> ResizeImage:
    """Return the work on a product's picture."""
    return ResizeImage(f"products/{4_000 + number}.jpg", 1_200)


def report(month: int) -> RenderReport:
    """Return that of a month."""
    return RenderReport(f"2026-{month:02d}", "pdf", ["sales@example.org", "board@example.org"])
