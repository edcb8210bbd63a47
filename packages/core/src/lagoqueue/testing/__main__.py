"""`python -m lagoqueue.testing`: run the driver contract on `MemoryQueue`; arguments are unittest's."""

from __future__ import annotations

import sys
import unittest

if __name__ == "__main__":
    unittest.main("lagoqueue.testing.memory", argv=["python -m lagoqueue.testing", *sys.argv[1:]])
