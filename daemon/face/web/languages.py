"""In which language a request is answered."""

from collections.abc import Mapping
from contextlib import suppress

from daemon.face.words.language import Language


def language_of(setting: str, query: Mapping[str, str], headers: Mapping[str, str]) -> tuple[Language | None, Language]:
    """Return the language that the address names, and the one to answer in.

    `setting` is auto, en or zh; auto is what the browser prefers (Accept-Language, RFC 9110, 12.5.4).
    """
    with suppress(ValueError):
        chosen = Language(query.get("lang", ""))
        return chosen, chosen
    with suppress(ValueError):
        return None, Language(setting)
    return None, _preferred(headers.get("accept-language", "")[:500])


def _preferred(accepted: str) -> Language:
    weighed = [_weighed(part) for part in accepted.split(",")]
    known = [(weight, language) for weight, language in weighed if language is not None and weight > 0]
    return max(known, key=lambda pair: pair[0])[1] if known else Language.EN


def _weighed(part: str) -> tuple[float, Language | None]:
    tag, _, weight = part.partition(";")
    try:
        return float(weight.strip().removeprefix("q=") or 1), Language(tag.strip().lower().partition("-")[0])
    except ValueError:
        return 0.0, None
