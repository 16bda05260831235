"""Promises of handlers.ckpt.manifest: what is no manifest is refused by our own error."""

import pytest

from handlers.ckpt import DamagedFileError, read_manifest
from tests.unit.handlers.ckpt.ckpt_writer import Write


@pytest.mark.parametrize("content", (b"", b"{}", b"[1]", b'{"format": 1}', b"\xff"))
def test_what_is_no_manifest_is_refused(written: Write, content: bytes) -> None:
    """Empty, half and foreign files name themselves."""
    with pytest.raises(DamagedFileError, match=r"manifest\.json: .*it is no manifest of glmd"):
        read_manifest(written(content, "manifest.json"))
