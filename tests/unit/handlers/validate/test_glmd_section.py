"""Promises of handlers.validate.glmd_section."""

import pytest

from handlers.ckpt.entry import Family, OutputFormat
from handlers.ckpt.planning.lora import Lora
from handlers.validate.document import parse
from handlers.validate.glmd_section import GlmdSection, MergeWish, Resume, StopOn, Timeout, read_section
from handlers.validate.problem import Problem


def read(text: str) -> tuple[GlmdSection, frozenset[str], tuple[Problem, ...]]:
    """Read the section in `text`."""
    return read_section(parse(text.encode(), "a.yaml").root)


@pytest.mark.parametrize("text", ("seed: 0\n", "glmd:\n", "glmd: {}\n", "glmd:\n  merge:\n  timeout:\n  devices:\n"))
def test_defaults(text: str) -> None:
    """A file without the section, or with nothing in it, runs with the defaults."""
    assert read(text) == (GlmdSection(), frozenset(), ())
    assert GlmdSection().merge == MergeWish(tag="last", keep=(Family.WEIGHTS, Family.SCALARS))
    assert GlmdSection().resume.attempts == 3
    assert GlmdSection().timeout == Timeout(silence=1800.0, first_step=3600.0, total=None)


def test_everything_set() -> None:
    """Each key of the design is understood."""
    section, wrong, problems = read(
        """
glmd:
  devices: "[0,8)"
  run_mode: finetune
  priority: -3
  merge:
    tag: 31_4
    format: safetensors
    max_shard_size: 5GB
    keep: [weights, optimizer]
    transformed: true
    lora: merge
    layout_from: /data/ckpt_strategy_rank_0.ckpt
  continue_from: /data/glm.ckpt
  overrides: {runner_config.epochs: 2, seed: null, devices: 010, a.b: [1, x]}
  inputs: [/data/b.mindrecord, /data/a.json, /data/b.mindrecord]
  resume: {attempts: 1}
  timeout: {silence: 1h30m, first_step: none, total: 90s}
  stop_on: {not_finite: 5, rise: 2.5}
  launcher: msrun
  with_rank_table: true
"""
    )
    assert (wrong, problems) == (frozenset(), ())
    assert section == GlmdSection(
        devices="[0,8)",
        run_mode="finetune",
        priority=-3,
        merge=MergeWish(
            tag="31_4",
            format=OutputFormat.SAFETENSORS,
            max_shard_size=5_000_000_000,
            keep=(Family.WEIGHTS, Family.OPTIMIZER),
            transformed=True,
            lora=Lora.MERGE,
            layout_from="/data/ckpt_strategy_rank_0.ckpt",
        ),
        continue_from="/data/glm.ckpt",
        overrides={"runner_config.epochs": "2", "seed": "null", "devices": "8", "a.b": '[1, "x"]'},
        inputs=("/data/b.mindrecord", "/data/a.json"),
        resume=Resume(attempts=1),
        timeout=Timeout(silence=5400.0, first_step=None, total=90.0),
        stop_on=StopOn(not_finite=5, rise=2.5),
        launcher="cluster",
        with_rank_table=True,
    )


@pytest.mark.parametrize(("text", "devices"), (("3", "3"), ("0,2,4", "0,2,4"), ("0-7", "0-7"), ("010", "010")))
def test_devices_count_as_written(text: str, devices: str) -> None:
    """What YAML would read as a number keeps the user's spelling."""
    assert read(f"glmd: {{devices: '{text}'}}")[0].devices == devices
    assert read(f"glmd:\n  devices: {text}\n")[0].devices == devices


def test_a_tag_without_quotes() -> None:
    """`tag: 31_4` is the tag 31_4, though YAML reads the number 314."""
    assert read("glmd:\n  merge:\n    tag: 31_4\n")[0].merge.tag == "31_4"


@pytest.mark.parametrize(
    ("line", "column", "where", "what"),
    (
        ("merge: {tag: every}", 16, "merge.tag", "'every' is not in this version"),
        ("merge: {tag: 31-4}", 16, "merge.tag", "is no tag; write `last`, or EPOCH_STEP"),
        ("merge: {tag: 0_4}", 16, "merge.tag", "is no tag"),
        (
            "merge: {format: npz}",
            19,
            "merge.format",
            "'npz' is not known here; write 'ckpt', 'safetensors' or 'huggingface'",
        ),
        ("merge: {max_shard_size: 5GB}", 27, "merge.max_shard_size", "write `format: safetensors` beside it"),
        ("merge: {max_shard_size: big}", 27, "merge.max_shard_size", "'big' is no size; write 5GB"),
        ("merge: {keep: [weights, adam]}", 27, "merge.keep[1]", "write 'weights', 'scalars' or 'optimizer'"),
        ("merge: {keep: [weights, exp_avg]}", 27, "merge.keep[1]", "'exp_avg' is optimizer state"),
        ("merge: {keep: [scalars, wieghts]}", 27, "merge.keep[1]", "did you mean 'weights'?"),
        ("merge: {keep: [weights, '']}", 27, "merge.keep[1]", "is no family"),
        ("merge: {keep: [weights, 3]}", 27, "merge.keep[1]", "3 does not fit"),
        ("merge: {keep: []}", 17, "merge.keep", "at least 1 item"),
        ("merge: {keep: weights}", 17, "merge.keep", "'weights' does not fit"),
        ("merge: {lora: alone}", 17, "merge.lora", "'alone' is not known here; write 'keep', 'merge' or 'only'"),
        ("merge: {transformed: 1}", 24, "merge.transformed", "1 does not fit"),
        ("merge: {layout_from: a/b}", 24, "merge.layout_from", "'a/b' is no absolute path"),
        ("merge: last", 10, "merge", "'last' is not a mapping"),
        ("resume: {attempts: -1}", 22, "resume.attempts", "-1 does not fit"),
        ("resume: {attempts: x}", 22, "resume.attempts", "'x' does not fit"),
        ("launcher: slurm", 13, "launcher", "'slurm' is no way for ranks to meet"),
        ("launcher: bash", 13, "launcher", "write 'auto', 'rank_table' or 'cluster'"),
        ("with_rank_table: 1", 20, "with_rank_table", "should be a valid boolean"),
        ("run_mode: eval", 13, "run_mode", "'eval' is not in this version"),
        ("run_mode: tune", 13, "run_mode", "write 'train' or 'finetune'"),
        ("priority: 9223372036854775808", 13, "priority", "9223372036854775808 does not fit"),
        ("priority: -9223372036854775809", 13, "priority", "-9223372036854775809 does not fit"),
        ("priority: 1000001", 13, "priority", "less than or equal to 1000000"),
        ("resume: {attempts: 101}", 22, "resume.attempts", "less than or equal to 100"),
        (f"resume: {{attempts: {10**90}}}", 22, "resume.attempts", "does not fit"),
        ("merge: {tag: 1_1000000000}", 16, "merge.tag", "is no tag"),
        ("merge: {format: safetensors, max_shard_size: 9999999TB}", 48, "merge.max_shard_size", "is no size"),
        (f"timeout: {{silence: {10**90}}}", 22, "timeout.silence", "longer than 366d"),
        ("timeout: {silence: 30m30m}", 22, "timeout.silence", "is not a duration"),
        ("timeout: {total: 400d}", 20, "timeout.total", "longer than 366d"),
        ("devices: 0,64", 12, "devices", "device 64 is out of bounds"),
        (f"devices: '{'9' * 4000}'", 12, "devices", "4000 characters name more devices"),
        ("priority: high", 13, "priority", "'high' does not fit"),
        ("priority: yes", 13, "priority", "True does not fit"),
        ("priority: 1.5", 13, "priority", "1.5 does not fit"),
        (
            "continue_from: ./newest",
            18,
            "continue_from",
            "neither `none` nor `latest`, nor a prefix, nor an absolute path",
        ),
        ("continue_from: a/b", 18, "continue_from", "neither"),
        ("timeout: {silence: soon}", 22, "timeout.silence", "'soon' is not a duration"),
        ("timeout: {silence: 1:30}", 22, "timeout.silence", "'1:30' is not a duration"),
        ("timeout: {total: 0}", 20, "timeout.total", "no time to wait"),
        ("timeout: {total: .inf}", 20, "timeout.total", "no time to wait"),
        ("timeout: {total: -5}", 20, "timeout.total", "is not a duration"),
        ("devices: [0,8]", 3, "devices", "put the devices in quotes"),
        ('devices: "[8,0)"', 12, "devices", "empty or runs backwards"),
        ('devices: ""', 12, "devices", "neither a device nor a range"),
        ("devises: 3", 3, "devises", "is not a key that glmd knows (did you mean `devices`?)"),
        ("merge: {tags: x}", 11, "merge.tags", "(did you mean `tag`?)"),
        ("timeout: {x: 1}", 13, "timeout.x", "(it may be silence, first_step, total)"),
        ("stop_on: {not_finite: 0}", 25, "stop_on.not_finite", "0 is no number of printed lines; write 1 to 1000000"),
        ("stop_on: {not_finite: -1}", 25, "stop_on.not_finite", "-1 is no number of printed lines"),
        ("stop_on: {not_finite: 1.5}", 25, "stop_on.not_finite", "1.5 is no number of printed lines"),
        ("stop_on: {not_finite: yes}", 25, "stop_on.not_finite", "True is no number of printed lines"),
        ("stop_on: {not_finite: [3]}", 13, "stop_on.not_finite", "[3] is no number of printed lines"),
        (f"stop_on: {{not_finite: {10**90}}}", 25, "stop_on.not_finite", "is no number of printed lines"),
        (
            "stop_on: {rise: 1}",
            19,
            "stop_on.rise",
            "1 is no multiple of a loss; write a number above 1, as 3, or `off`",
        ),
        ("stop_on: {rise: .inf}", 19, "stop_on.rise", "inf is no multiple"),
        ("stop_on: {rise: .nan}", 19, "stop_on.rise", "nan is no multiple"),
        ("stop_on: {rise: 5%}", 19, "stop_on.rise", "'5%' is no multiple"),
        ("stop_on: 20", 12, "stop_on", "20 is not a mapping"),
        ("stop_on: {nan: 20}", 13, "stop_on.nan", "(it may be not_finite, rise)"),
        ("7: 1", 3, "7", "is not a key that glmd knows"),
    ),
)
def test_problems_have_their_place(line: str, column: int, where: str, what: str) -> None:
    """What is wrong, or not in this version, is said where it stands; it is never ignored, and its default holds."""
    section, wrong, problems = read(f"glmd:\n  {line}\n")
    assert [(problem.line, problem.column, problem.where) for problem in problems] == [(2, column, f"glmd.{where}")]
    assert what in str(problems[0])
    assert wrong == {line.split(":", maxsplit=1)[0]}
    assert section == GlmdSection()


@pytest.mark.parametrize("text", ("glmd: 3\n", "glmd: [a]\n", "glmd: text\n"))
def test_not_a_mapping(text: str) -> None:
    """A section that is no mapping is a problem."""
    assert "is not a mapping" in str(read(text)[2][0])


def test_all_at_once_and_the_rest_holds() -> None:
    """Several wrong keys are all reported, and what is right is kept for the other checks."""
    section, wrong, problems = read("glmd:\n  priority: 5\n  launcher: x\n  run_mode: y\n")
    assert {problem.where for problem in problems} == {"glmd.launcher", "glmd.run_mode"}
    assert wrong == {"launcher", "run_mode"}
    assert section == GlmdSection(priority=5)


def test_a_family_that_no_list_names_may_be_kept_by_its_prefix() -> None:
    """The trained names show only later whether it is there; a dot at its end is no part of it."""
    assert read("glmd: {merge: {keep: [weights, scalars, ema, slow.average.]}}")[0].merge.keep == (
        *("weights", "scalars"),
        *("ema", "slow.average"),
    )


@pytest.mark.parametrize("word", ("off", "none", "'off'", "None", "OFF", "no", "false"))
def test_a_divergence_may_be_let_run(word: str) -> None:
    """YAML 1.1 makes False of some of these words."""
    section, wrong, problems = read(f"glmd: {{stop_on: {{not_finite: {word}, rise: {word}}}}}")
    assert (wrong, problems) == (frozenset(), ())
    assert section.stop_on == StopOn(not_finite=None, rise=None)
    assert section.stop_on.model_fields_set == {"not_finite", "rise"}


def test_what_the_section_does_not_say_of_divergence_is_not_set() -> None:
    """So that the settings say it; also where a key is there without a value."""
    assert read("glmd: {stop_on: {not_finite: , rise: 3}}")[0].stop_on.model_fields_set == {"rise"}
    assert not read("glmd: {stop_on: }")[0].stop_on.model_fields_set


@pytest.mark.parametrize(
    ("inputs", "why"),
    (
        ("/data/a.json", "list"),
        ("[data/a.json]", "'data/a.json' is no absolute path; name a file of data"),
        ("[3]", "'3' is no absolute path"),
        ("{a: /b}", "list"),
    ),
)
def test_inputs_are_a_list_of_absolute_paths(inputs: str, why: str) -> None:
    """Anything else is told with its place, and the rest of the section holds."""
    section, wrong, (problem,) = read(f"glmd:\n  priority: 2\n  inputs: {inputs}\n")
    assert (section, wrong) == (GlmdSection(priority=2), frozenset({"inputs"}))
    assert problem.line == 3
    assert why in problem.message


def test_a_thousand_inputs_are_the_most() -> None:
    """As many as are looked at before each attempt."""
    text = "glmd:\n  inputs:\n" + "".join(f"    - /data/{number}.json\n" for number in range(1001))
    assert "names 1001 files; 1000 are the most" in read(text)[2][0].message
    assert len(read(text.replace("    - /data/7.json\n", ""))[0].inputs) == 1000


def test_a_section_that_was_kept_is_read_as_it_was() -> None:
    """checked.json holds it as JSON."""
    section = read("glmd: {overrides: {a.b: [1], c: 2, d: '3'}, priority: 4}\n")[0]
    assert GlmdSection.model_validate(section.model_dump(mode="json", exclude_unset=True)) == section
