import pytest

from tests.unit.daemon.face.diary import Diary
from tests.unit.daemon.face.web.visitor import Visitor


@pytest.fixture
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Visitor:
    """Return one who asks the page of a root in which nothing was ever started."""
    return Visitor(tmp_path_factory.mktemp("root") / "glm")


@pytest.fixture
def diary(visitor: Visitor) -> Diary:
    """Return the store of that root, to be filled."""
    return Diary(visitor.root)
