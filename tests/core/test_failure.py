"""What is kept of an exception."""

from __future__ import annotations

from lagoqueue import Failure
from lagoqueue.failure import MAX_ERROR, MAX_TRACEBACK, storable


class Weird(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class Fatal(BaseException):
    pass


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_kind_message_and_traceback_are_kept() -> None:
    failure = Failure.of(raised(ValueError("bad width")))
    assert failure.kind == "ValueError"
    assert failure.error == "ValueError: bad width"
    assert "in raised" in failure.traceback
    assert failure.traceback.rstrip().endswith("ValueError: bad width")


def test_a_class_outside_builtins_is_named_with_its_module() -> None:
    assert Failure.of(Fatal("x")).kind == f"{__name__}.Fatal"


def test_an_exception_without_a_message_is_its_kind() -> None:
    assert Failure.of(KeyError()).error == "KeyError"


def test_an_exception_whose_str_raises_is_described_all_the_same() -> None:
    failure = Failure.of(raised(Weird()))
    assert "str() raised RuntimeError" in failure.error
    assert "Weird" in failure.traceback


def test_nul_and_lone_surrogates_are_escaped() -> None:
    failure = Failure.of(raised(ValueError("a\0b \ud800 é")))
    assert failure.error == "ValueError: a\\x00b \\ud800 é"
    assert "\0" not in failure.traceback
    failure.traceback.encode()


def test_long_texts_keep_their_head_and_tail() -> None:
    failure = Failure.of(raised(ValueError("x" * 1_000_000 + "the end")))
    assert len(failure.error) == MAX_ERROR
    assert failure.error.startswith("ValueError: xxx")
    assert failure.error.endswith("the end")
    assert len(failure.traceback) == MAX_TRACEBACK
    assert "characters left out" in failure.traceback
    assert storable("short", 10) == "short"


def test_an_exception_group_keeps_its_members() -> None:
    failure = Failure.of(raised(ExceptionGroup("several", [ValueError("one"), KeyError("two")])))
    assert "one" in failure.traceback
    assert "two" in failure.traceback
