"""Promises of daemon.face.words: what glmd says, it says in both languages, and in no mixture of them."""

import re
from collections.abc import Iterator
from enum import StrEnum
from string import Formatter

import pytest

from daemon.core.event_kinds import EventKind
from daemon.core.states import State
from daemon.face.cells import cells
from daemon.face.needs import Kind
from daemon.face.nights import Mark
from daemon.face.words.language import Language
from daemon.face.words.reading import read_words
from handlers.codes import Code
from handlers.rank_log.error_kinds import KnownError
from handlers.rank_log.known_errors import KNOWN_ERRORS, SIGNALS
from handlers.records.job_dir import Step
from handlers.records.step_exit import Diagnosis, Outcome
from handlers.shim.divergence import DIAGNOSIS

EN, ZH = read_words(Language.EN), read_words(Language.ZH)
ERRORS: dict[Code, KnownError | Diagnosis] = {
    **{error.code: error for error in (*KNOWN_ERRORS, *SIGNALS)},
    Code.TRAINING_DIVERGED: DIAGNOSIS,
}
NAMES = frozenset(
    """
    glmd latest rank table pid token batch loss step stream socket notify dump cron root retry list shm dev ascend log
    Slurm YAML JSON UTF NaN CPU AI IP OK ECC P2P LoRA Python MindSpore MindFormers numpy
    CANN HCCL HCCP GE FE TE TBE Fusion AOE Auto Tune RL LxFusion AscendCL ACL DVPP AMCT RTS
    batch_size seq_length model_parallel vocab_size num_parallel_workers keep_checkpoint_max load_checkpoint
    max_device_memory context run_mode device_target parallel_mode plan.json exit.json manifest.json
    daemon.json Apprise overrides MS_TOPO_TIMEOUT metadata.json
    inbox glm submit FILE FILE.yaml glmd.sock docs operations.md LATEST LOSS web actions Nightly cycles all
    RANK_ID RANK_SIZE RANK_ DEVICE_ID HCCL_ HCCL_INTRA_ROCE_ENABLE HCCL_EXEC_TIMEOUT HCCL_CONNECT_TIMEOUT
    ASCEND_RT_VISIBLE_DEVICES
    """.split()  # noqa: SIM905 - a line each would hide what they have in common
)
"""What Chinese documentation of Ascend and MindSpore calls by these names, too."""
HAN = re.compile(r"[\u4e00-\u9fff]")


def chinese() -> Iterator[tuple[str, str]]:
    """Yield every Chinese text with where it stands."""
    for name, table in ZH.tables.items():
        yield from ((f"{name}.{key}", text) for key, text in table.items())
    for code, advice in ZH.advice.items():
        yield f"{code}.cause", advice.cause
        yield f"{code}.remedy", advice.remedy


def fields(text: str) -> set[str]:
    """Return the names of what is filled into a text."""
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_say_the_same_things() -> None:
    """Whoever adds a text to one adds it to the other."""
    assert {name: table.keys() for name, table in EN.tables.items()} == {
        name: table.keys() for name, table in ZH.tables.items()
    }


@pytest.mark.parametrize(("table", "named"), (("states", State), ("outcomes", Outcome), ("steps", Step)))
def test_each_that_a_job_may_have_has_a_word(table: str, named: type[StrEnum]) -> None:
    """A state, an end or a step without one would be an error where it is shown."""
    assert set(EN.tables[table]) == {each.value for each in named}


def test_both_fill_in_the_same_things() -> None:
    """A placeholder that is only in one would be left out there, or raise."""
    for name, table in EN.tables.items():
        for key, text in table.items():
            assert fields(text) == fields(ZH.tables[name][key]), (name, key)


@pytest.mark.parametrize(
    ("table", "kinds", "others"),
    (
        ("states", State, set()),
        ("marks", Mark, set()),
        ("needs", Kind, set()),
        ("happened", EventKind, set()),
        ("over", EventKind, set()),
        ("one", EventKind, {"over"}),
        ("several", EventKind, {"over"}),
        ("titles", Code, set()),
        ("marked", Mark, set()),
        ("outcomes", Outcome, set()),
        ("steps", Step, set()),
    ),
)
def test_there_is_a_word_for_each_kind(table: str, kinds: type[StrEnum], others: set[str]) -> None:
    """And none for what no longer is."""
    wanted = {str(kind) for kind in kinds} | others
    assert wanted - EN.tables[table].keys() == set(), f"{table} of en.toml, and of zh.toml, has no words for these"
    assert EN.tables[table].keys() == wanted


def test_titles_are_short() -> None:
    """30 letters, or 16 Chinese characters; and no sentence."""
    for words, most in ((EN, 30), (ZH, 32)):
        titles = words.tables["titles"]
        assert {code: title for code, title in titles.items() if not 0 < cells(title) <= most} == {}
        assert [title for title in titles.values() if title.endswith((".", "。"))] == []


def test_a_code_of_another_version_has_no_title() -> None:
    """A store may be a newer glmd's."""
    assert EN.title("job.abducted") == ""


def test_each_known_error_is_told_in_chinese() -> None:
    """English stands in handlers.rank_log, where it is found."""
    wanted = {str(code) for code in ERRORS}
    assert wanted - ZH.advice.keys() == set(), "zh_errors.toml has no cause and remedy for these"
    assert ZH.advice.keys() == wanted
    assert not EN.advice


@pytest.mark.parametrize("code", ERRORS)
def test_advice_has_the_same_commands(code: Code) -> None:
    """Those who type them get the same in both languages."""
    english, told = ERRORS[code], ZH.advice[code]
    for theirs, ours in ((english.cause, told.cause), (english.remedy, told.remedy)):
        assert sorted(re.findall("`[^`]*`", theirs)) == sorted(re.findall("`[^`]*`", ours))
        assert sorted(set(re.findall(r"[A-Z]{3,}_[A-Z_]+", theirs))) == sorted(
            set(re.findall(r"[A-Z]{3,}_[A-Z_]+", ours))
        )


def test_advice_has_the_numbers_of_whom_it_concerns() -> None:
    """In its commands; a number that nobody knows stays a letter."""
    advice = ZH.advice_of("rank.EI", job=41, rank=3, device=None)
    assert advice is not None
    assert "`glmd logs 41 --rank 3`" in advice.remedy
    advice = ZH.advice_of("rank.EJ0004", job=None, rank=None, device=5)
    assert advice is not None
    assert "`hccn_tool -i 5 -ip -g`" in advice.remedy
    assert "`glmd retry N`" in advice.remedy


def test_chinese_is_chinese() -> None:
    """But for names, commands and what is filled in; its commas are its own, too."""
    left = {}
    for where, text in chinese():
        plain = re.sub(r"`[^`]*`|\{[^}]*\}", " ", text)
        if others := set(re.findall(r"[A-Za-z][A-Za-z0-9_]*(?:\.(?:json|md|sock|yaml))?|,", plain)) - NAMES:
            left[where] = others
    assert left == {}, "say these in Chinese; or add to NAMES what people call so in Chinese, too"


def test_chinese_is_written_for_people() -> None:
    """Frames that are signs alone, and names, have no Chinese; all else has."""
    without = {where for where, text in chinese() if not HAN.search(text)}
    signs = {
        f"frames.{key}"
        for key in ("headline", "pair", "comma", "colon", "rank", "loss", "loss_change", "need", "need_without_reason")
    }
    assert without - {"labels.rank", "labels.loss", "page.rank", "page.loss", "cli.progress"} == signs


def test_english_is_english() -> None:
    """No Chinese is left in it."""
    assert not [key for table in EN.tables.values() for key, text in table.items() if HAN.search(text)]
