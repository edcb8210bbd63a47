from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lagoqueue_dashboard.look.frames import frames

TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3.13/asyncio/tasks.py", line 1, in run
    yield
  File "/srv/shop/jobs.py", line 41, in send
    await mailer.send(
    ~~~~~~~~~~~^
  File "/srv/.venv/lib/python3.13/site-packages/smtp.py", line 318, in sendmail
    raise Closed
  File "<frozen importlib._bootstrap>", line 4, in load
smtp.Closed: connection
unexpectedly closed
"""


def test_own_frames_are_told_from_those_of_libraries() -> None:
    kinds = [(piece.kind, piece.text.count("\n")) for piece in frames(TRACEBACK)]
    assert kinds == [
        ("between", 1),
        ("library", 2),
        ("own", 3),
        ("library", 2),
        ("library", 1),
        ("error", 1),
        ("error", 1),
    ]


def test_windows_paths_count_as_well() -> None:
    text = '  File "C:\\\\Python313\\\\Lib\\\\site-packages\\\\smtp.py", line 1, in x\n  File "C:\\\\shop\\\\a.py", line 2, in y\n'
    assert [piece.kind for piece in frames(text.replace("\\\\", "\\"))] == ["library", "own"]


def test_a_real_traceback_ends_in_its_error() -> None:
    with pytest.raises(KeyError) as found:
        dict[str, int]()["missing"]
    pieces = frames("".join(traceback.format_exception(found.value)))
    assert [piece.kind for piece in pieces] == ["between", "own", "error"]
    assert pieces[-1].text == "KeyError: 'missing'\n"


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    assert "".join(piece.text for piece in frames(text)) == text
