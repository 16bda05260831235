"""What the tests send."""

from datetime import UTC, datetime

from daemon.face.notify.message import Payload

NOW = datetime(2026, 11, 29, 6, 30, 15, 900_000, UTC)
PAYLOAD = Payload(
    "✖ 41 lora-夜: rank 3, EI0006",
    "The peers of rank 3 did not answer.\nTo do: glmd retry 41",
    {"type": "job.failed", "timestamp": "2026-11-29T06:30:00Z", "data": {"job": 41, "name": "lora-夜"}},
)
