"""Which of several jobs the link `latest` leads to, as their users meet it."""

import json

from daemon.core.states import State
from handlers.codes import Code
from handlers.records.job_dir import Step
from tests.acceptance.house import House


def test_a_training_that_began_before_does_not_take_latest_back(house: House) -> None:
    """It is merged last, and its job says why `latest` stays; a third one takes it."""
    house.environment(STANDIN_GATE=str(house.gate))
    house.start().drop("old.yaml")
    house.until(State.TRAINING)
    house.wait(house.directory().step(1, Step.TRAIN).shim.exists, "the first training")
    house.stop()
    house.environment()
    house.start().drop("new.yaml", devices="[2,4)")
    house.until(State.DONE, 2)
    latest = house.root / "latest" / "glm-6b"
    assert latest.resolve() == house.directory(2).merged
    house.gate.touch()
    old = house.until(State.DONE)
    assert old.reason.startswith("not promoted: latest/glm-6b stays at job 2, whose training began later; tag ")
    assert old.code == Code.PROMOTION_NOT_NEWEST
    assert latest.resolve() == house.directory(2).merged
    events = map(json.loads, house.directory().events.read_text().splitlines())
    assert any(event["event"] == "latest_kept" for event in events)
    house.drop("newest.yaml")
    house.until(State.DONE, 3)
    assert latest.resolve() == house.directory(3).merged
