"""What somebody should know, for anyone who shows it: of each cycle and kind the newest, with how many there are."""

from collections.abc import Iterable, Iterator

from daemon.core.notices import Notice


def notice_texts(notices: Iterable[Notice]) -> Iterator[str]:
    """Yield a text for each thing that lasts; a trouble that goes on for nights is one."""
    found: dict[tuple[str, str], list[Notice]] = {}
    for notice in notices:
        found.setdefault((notice.kind, notice.cycle), []).append(notice)
    for same in found.values():
        more = f"; {len(same) - 1} more before it" if len(same) > 1 else ""
        yield f"{same[-1].text}{more}"
