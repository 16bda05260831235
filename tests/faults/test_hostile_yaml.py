"""Whatever bytes are dropped, the whole check ends in a verdict: soon, in little memory, with a reason of few lines."""

import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from handlers.validate.check import Rules, check
from handlers.validate.problem import ConfigError
from tests.acceptance.house import CONFIG

CHECKOUT = Path(__file__).parents[2]
TMP = Path(tempfile.gettempdir())
BASES = (
    CONFIG.format(data=TMP, devices="[0,2)"),
    (CHECKOUT / "configs/run_glm_6b_finetune.yaml").read_text(),
    (CHECKOUT / "configs/run_glm_6b_lora.yaml").read_text(),
    (CHECKOUT / "configs/rehearsal/rehearsal.yaml").read_text(),
)
RULES = Rules(devices=tuple(range(8)), disk=TMP, latest=TMP / "latest", allowed=(TMP,))
LONGEST_REASON = 100_000
MARK = TMP / f"glmd-was-here-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"  # all of a run call it the same
"""What a tag that constructs objects would make."""

NASTY = (
    f"!!python/object/apply:os.system ['touch {MARK}']",
    "!!python/name:os.system",
    "!!python/object/new:subprocess.Popen [[id]]",
    "!!binary aGFsbG8=",
    "!!set {a, b}",
    "!!timestamp 2026-11-24",
    "!!int x",
    "!!float []",
    "!!null x",
    "!<tag:yaml.org,2002:python/module:os> ''",
    "&a [*a]",
    "&a {<<: *a}",
    "*nowhere",
    "{<<: [*train_dataset, *train_dataset]}",
    "{<<: 1}",
    "9" * 99,
    "9" * 6000,
    f"'{'9' * 6000}'",
    f"'{'9' * 400}GB'",
    f"'{'9' * 400}h'",
    "1e999",
    "-1",
    "0",
    "1.0e+300",
    ".inf",
    "-.inf",
    ".nan",
    "0b" + "1" * 99,
    "190:20:30.15",
    "[]",
    "{}",
    "[[[[[[]]]]]]",
    "{? {a: b} : c}",
    "''",
    "~",
    "true",
    "'yes'",
    '"\\e[2J\\x07\\u202e"',
    '"\\0"',
    '"\\ud800"',
    f"/{'a' * 5000}",
    "/proc/self/mem",
    "/dev/zero",
    "/dev/stdin",
    "/proc/1/root",
    f"{TMP}/../../../etc/shadow",
    "../../../etc/passwd",
    "~root",
    "$(reboot)",
    "`reboot`",
    "'; rm -rf / #'",
    "'.*(' ",
    f"'{'(' * 3000}'",
    "'a{99999999999999999999}'",
    "'(a+)+$'",
    "|\n    text\n    of lines",
    "\ufeff",
    "\x85",
    "\u2028",
)
NASTY_BYTES = (b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc0\xaf", b"\xed\xa0\x80", b"\r", b"\t", b"\x1b[2J")


def verdict(content: bytes) -> None:
    """Check `content`; only a ConfigError, with places in the file and a reason that can be shown, may come of it."""
    reason, problems = "", ()
    try:
        check(content, "a.yaml", RULES)
    except ConfigError as error:
        reason, problems = str(error), error.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)
    assert len(reason) < LONGEST_REASON
    assert all(line.isprintable() for line in reason.split("\n"))
    assert not MARK.exists()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a real configuration with some of its lines made wrong."""
    lines = draw(st.sampled_from(BASES)).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[at].partition(":")
        match draw(st.integers(0, 7)):
            case 0 | 1 | 2:
                lines[at] = f"{key}{colon} {draw(st.sampled_from(NASTY))}"
            case 3:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 4:
                del lines[at]
            case 5:
                lines[at] = " " * draw(st.integers(0, 6)) + lines[at].lstrip()
            case 6:
                lines[at] = draw(st.sampled_from(NASTY))
            case 7:
                lines = lines[: at + 1]
        if not lines:
            lines = [""]
    content = "\n".join(lines).encode()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.sampled_from(NASTY_BYTES)) + content[at:]
    return content


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_real_file_made_wrong(content: bytes) -> None:
    """Values, lines and bytes of the shipped files are exchanged for worse ones."""
    verdict(content)


@pytest.mark.parametrize("nasty", NASTY)
def test_every_value_in_turn(nasty: str) -> None:
    """Each key that a check looks at has each value; one that breaks a check breaks it here."""
    lines = BASES[0].splitlines()
    keys = [at for at, line in enumerate(lines) if ": " in line and not line.lstrip().startswith("#")]
    for at in keys[NASTY.index(nasty) % 2 :: 2]:
        changed = [*lines]
        changed[at] = f"{lines[at].partition(':')[0]}: {nasty}"
        verdict("\n".join(changed).encode())


SECTION = ("devices", "run_mode", "priority", "continue_from", "launcher", "merge", "resume", "timeout")
WITHIN = {
    "merge": ("tag", "format", "max_shard_size", "keep", "transformed", "lora", "layout_from"),
    "resume": ("attempts",),
    "timeout": ("silence", "first_step", "total"),
}


@pytest.mark.parametrize("nasty", NASTY)
def test_every_value_in_our_own_section(nasty: str) -> None:
    """All keys of `glmd:`, each with something that it is not."""
    base = BASES[0].partition("glmd:")[0]
    for key in SECTION:
        verdict(f"{base}glmd:\n  {key}: {nasty}\n".encode())
        for inner in WITHIN.get(key, ()):
            verdict(f"{base}glmd:\n  {key}:\n    {inner}: {nasty}\n".encode())


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass"))))
@example("seed: 0\n".encode("utf-16"))
@example("seed: 0\n".encode("utf-32"))
@example(b"\xef\xbb\xbf")
@example(b"seed: 0\x00")
@example(b"%YAML 9.9\n---\nseed: 0\n")
@example(b"%TAG ! tag:x,2000:\n---\nseed: !y 0\n")
def test_any_bytes(content: bytes) -> None:
    """Most are no configuration; none breaks anything."""
    verdict(content)


BOMBS = {
    "laughs": b"a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 60)),
    "merges": b"a0: &a0 {k: v}\n"
    + b"".join(b"a%d: &a%d {<<: [%s], k%d: v}\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9), i) for i in range(1, 40)),
    "nesting": b"[" * (1 << 20),
    "block nesting": b"".join(b" " * depth + b"a:\n" for depth in range(1, 1400)),
    "scalar": b"a: " + b"x" * ((1 << 20) - 10),
    "folded": b"a: >\n" + b"  x\n" * 200_000,
    "quoted": b'a: "' + b"\\x41" * 250_000 + b'"',
    "key": b"x" * 1000 + b": 1\n? " + b"y" * 900_000 + b"\n: 2\n",
    "duration": b"glmd:\n  timeout:\n    silence: '" + b"1" * 1_000_000 + b"'\n",
    "duration parts": b"glmd:\n  timeout:\n    silence: '" + b"1s" * 500_000 + b"x'\n",
    "size": b"glmd:\n  merge:\n    format: safetensors\n    max_shard_size: '" + b"1" * 1_000_000 + b"'\n",
    "devices": b"glmd:\n  devices: '" + b"0," * 500_000 + b"0'\n",
    "tag": b"glmd:\n  merge: {tag: '" + b"1" * 1_000_000 + b"'}\n",
    "unknown keys": b"glmd:\n" + b"".join(b"  k%d: 1\n" % i for i in range(9000)),
    "keys": b"".join(b"k%d: 1\n" % i for i in range(9900)),
    "duplicates": b"seed: 0\n" * 9000,
    "comments": b"#\n" * 500_000 + b"seed: 0\n",
    "path": b"load_checkpoint: /" + b"a/" * 500_000 + b"\n",
    "similar key": b"m" * 900_000 + b"odel: 1\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_neither_the_time_nor_the_memory(name: str) -> None:
    """A megabyte is all that a file may have; checking it takes seconds and less than half a gigabyte."""
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from handlers.validate.check import Rules, check
        from handlers.validate.problem import ConfigError
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            check(sys.stdin.buffer.read(), "a.yaml", Rules(devices=(0, 1), allowed=(Path("/nowhere"),)))
        except ConfigError as error:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(str(error)))
    """)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], input=BOMBS[name], capture_output=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[-2000:])
    grown, reason = map(int, done.stdout.split())
    assert grown < 500_000  # kB
    assert reason < LONGEST_REASON
    assert time.monotonic() - started < 60
