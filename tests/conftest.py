"""What several rooms' tests share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tiny import without_report
from testtime.storage.files import place

os.environ["HF_HUB_OFFLINE"] = (
    "1"  # no test may ask a hub: without a network each question takes 20 s of retries
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of reference data beside the repository; a test that needs it skips where it is
    absent.
    """
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"reference data is absent: no folder {folder}")
    return folder


@pytest.fixture(scope="module")
def unreported() -> Iterator[None]:
    """No run writes its page, which takes most of a small run's time."""
    with without_report():
        yield


@pytest.fixture(params=["folder", "store"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A local folder, and one of an object store in memory."""
    if request.param == "folder":
        yield tmp_path
        return
    pytest.importorskip("upath", reason="universal-pathlib is not installed")
    import fsspec

    yield place(f"memory://{uuid.uuid4().hex}")
    fsspec.filesystem("memory").store.clear()
