"""Promises of `glmd rank-table`."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner, Result

from daemon.commands.rank_table import app
from handlers.errors import BadInputError, RefusedError
from handlers.rank_table.table import Device, RankTable, Server, read, write


class Cards(Protocol):
    """The fixture `cards`."""

    tool: Path
    conf: Path


def run(*arguments: str | Path) -> Result:
    """Run the command line `glmd rank-table ARGUMENTS`."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def make(cards: Cards, output: Path, *arguments: str) -> Result:
    """Run `make` on these cards, into `output`."""
    sources = ("--hccn-tool", cards.tool, "--hccn-conf", cards.conf, "--server-ip", "192.168.1.196")
    return run("make", *sources, "-o", output, *arguments)


def test_make_prints_what_the_stock_tool_prints(cards: Cards, tmp_path: Path) -> None:
    """The seed's session, line for line."""
    result = make(cards, tmp_path, "--devices", "[0,8)")
    assert result.exit_code == 0
    assert result.stdout == (
        "visible_devices:['0', '1', '2', '3', '4', '5', '6', '7']\n"
        "server_id:192.168.1.196\n"
        "device_num_list: [0, 1, 2, 3, 4, 5, 6, 7]\n"
        "rank_id:0, device_id:0, device_ip:192.168.100.101\n"
        "rank_id:1, device_id:1, device_ip:192.168.101.101\n"
        "rank_id:2, device_id:2, device_ip:192.168.102.101\n"
        "rank_id:3, device_id:3, device_ip:192.168.103.101\n"
        "rank_id:4, device_id:4, device_ip:192.168.100.100\n"
        "rank_id:5, device_id:5, device_ip:192.168.101.100\n"
        "rank_id:6, device_id:6, device_ip:192.168.102.100\n"
        "rank_id:7, device_id:7, device_ip:192.168.103.100\n"
        f"Completed: hccl file was save in : {tmp_path}/hccl_8p_01234567_192.168.1.196.json\n"
    )
    assert not result.stderr
    assert len(read(tmp_path / "hccl_8p_01234567_192.168.1.196.json").devices) == 8


def test_make_with_visible_devices(cards: Cards, tmp_path: Path) -> None:
    """The stock tool's own example works."""
    result = make(cards, tmp_path, "--visible-devices", "4,5,6,7", "--devices", "[0, 4)")
    assert "visible_devices:['4', '5', '6', '7']\n" in result.stdout
    assert "device_num_list: [0, 1, 2, 3]\n" in result.stdout
    assert "rank_id:0, device_id:4, device_ip:192.168.100.100\n" in result.stdout


def test_warnings_go_to_stderr(cards: Cards, tmp_path: Path) -> None:
    """Standard output stays what scripts know."""
    cards.conf.write_text("address_0=10.1.1.1\n")
    result = make(cards, tmp_path, "--devices", "0")
    assert result.stderr.startswith("warning: device 0: hccn_tool says 192.168.100.101, ")
    assert result.stdout.startswith("visible_devices:")


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    (
        (("--devices", "8-0"), BadInputError, "runs backwards"),
        (("--devices", "[0,8]"), RefusedError, "for 8 devices write [0,8)"),
        (("--devices", "3,4", "--topology", "910A"), RefusedError, "two rings"),
        (("--devices", "0-2", "--topology", "a3"), RefusedError, "1 or an even number of devices, not 3"),
        (("--devices", "[0,7]", "--topology", "910"), SystemExit, "2"),
    ),
)
def test_make_refuses(
    cards: Cards, tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], why: str
) -> None:
    """What cannot be done is an error that the program turns into exit code 2 or 3, and no file appears."""
    result = make(cards, tmp_path / "out", *arguments)
    assert isinstance(result.exception, error)
    assert why in str(result.exception)
    assert not (tmp_path / "out").exists()


def table(server_id: str, net: int) -> RankTable:
    """Return the table of a server with four devices in the network 10.0.`net`."""
    return RankTable((Server(server_id, tuple(Device(d, f"10.0.{net}.{d + 1}", d) for d in range(4))),))


def test_check(tmp_path: Path) -> None:
    """A good table is OK, also for the number of ranks it has."""
    path = write(table("10.0.0.1", 1), tmp_path)
    result = run("check", path, "--ranks", "4", "--topology", "910A")
    assert (result.exit_code, result.stdout) == (0, "OK: 1 server(s), 4 rank(s)\n")


def test_check_lists_every_problem(tmp_path: Path) -> None:
    """A bad table is refused with a line for each problem, each with the file's name."""
    path = write(table("10.0.0.1", 1), tmp_path)
    path.write_text(path.read_text().replace('"device_ip": "10.0.1.2"', '"device_ip": "?"').replace("1.0", "1.9", 1))
    result = run("check", path, "--ranks", "8")
    assert isinstance(result.exception, RefusedError)
    lines = str(result.exception).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_check_of_no_json(tmp_path: Path) -> None:
    """What is no JSON is bad input, not a refusal."""
    (tmp_path / "x.json").write_text("{")
    assert isinstance(run("check", tmp_path / "x.json").exception, BadInputError)


def test_merge(tmp_path: Path) -> None:
    """The same bytes whatever the arguments' order, under the stock tool's name."""
    paths = [write(table(f"10.0.0.{n}", n), tmp_path) for n in (9, 10)]
    result = run("merge", *paths, "-o", tmp_path / "a")
    assert result.stdout == (
        "server_id:10.0.0.10, rank_id:0-3\n"
        "server_id:10.0.0.9, rank_id:4-7\n"
        f"Completed: hccl file was save in : {tmp_path}/a/hccl_2s_8p.json\n"
    )
    run("merge", *reversed(paths), "-o", tmp_path / "b")
    assert (tmp_path / "a/hccl_2s_8p.json").read_bytes() == (tmp_path / "b/hccl_2s_8p.json").read_bytes()


def test_merge_names_the_bad_file(tmp_path: Path) -> None:
    """A broken input is told by name, and nothing is written."""
    good = write(table("10.0.0.1", 1), tmp_path)
    bad = write(table("10.0.0.2", 2), tmp_path)
    bad.write_text(bad.read_text().replace("completed", "initializing"))
    result = run("merge", good, bad, "-o", tmp_path / "out")
    assert isinstance(result.exception, RefusedError)
    assert f'{bad}: status must be "completed"' in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_product_has_its_word(cards: Cards, tmp_path: Path) -> None:
    """Three cards of an A2 server make a table; a word that is no product is bad usage, which lists them."""
    result = make(cards, tmp_path, "--devices", "0,2,5", "--topology", "A2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (tmp_path / "hccl_3p_025_192.168.1.196.json").exists()
    result = make(cards, tmp_path, "--topology", "Atlas")
    assert result.exit_code == 2
    assert all(word in result.stderr for word in ("910A", "910B", "16-card", "A3", "any"))


def test_any_says_who_takes_it(cards: Cards, tmp_path: Path) -> None:
    """Without a product the table is made, and standard error says whose it can be."""
    result = make(cards, tmp_path, "--devices", "0-6")
    assert result.exit_code == 0
    assert "only a server of the topology 910B or 16-card takes 7 devices ([0,7))" in result.stderr


MODELARTS = """{"status": "completed", "group_count": "1", "group_list": [{"group_name": "job", "device_count": "2",
 "instance_count": "1", "instance_list": [{"pod_name": "job-0", "server_id": "192.168.6.101", "devices": [
 {"device_id": "1", "device_ip": "192.1.244.170"}, {"device_id": "0", "device_ip": "192.1.244.169"}]}]}]}"""


def test_modelarts_own_table(tmp_path: Path) -> None:
    """Check takes it and says what it is; merge of this one file writes what MindFormers' scripts take."""
    path = tmp_path / "jobstart_hccl.json"
    path.write_text(MODELARTS)
    result = run("check", path, "--ranks", "2")
    assert (result.exit_code, result.stdout) == (0, "OK: 1 server(s), 2 rank(s), group_list of pods\n")
    assert "jobstart_hccl.json" in result.stderr
    result = run("merge", path, "-o", tmp_path)
    assert result.stdout.endswith(f"Completed: hccl file was save in : {tmp_path}/hccl_2p_01_192.168.6.101.json\n")
    assert not result.stderr
    assert run("check", tmp_path / "hccl_2p_01_192.168.6.101.json").stdout == "OK: 1 server(s), 2 rank(s)\n"


def test_modelarts_unfinished_table(tmp_path: Path) -> None:
    """It is refused with what to wait for, and nothing is written."""
    path = tmp_path / "jobstart_hccl.json"
    path.write_text(MODELARTS.replace("completed", "initializing"))
    for command in (("check", path), ("merge", path, "-o", tmp_path / "out")):
        error = run(*command).exception
        assert isinstance(error, RefusedError)
        assert "wait until it says completed" in str(error)
    assert not (tmp_path / "out").exists()


def test_merge_knows_the_product(tmp_path: Path) -> None:
    """Its rules hold for each server of the merged table."""
    path = write(RankTable((Server("10.0.0.1", tuple(Device(d, f"10.0.1.{d}", d) for d in range(3))),)), tmp_path)
    assert run("merge", path, "-o", tmp_path / "out", "--topology", "910B").exit_code == 0
    assert isinstance(run("merge", path, "-o", tmp_path / "no", "--topology", "910A").exception, RefusedError)


def test_help_loads_nothing_heavy() -> None:
    """`glmd --help` has 0.3 s: this module brings in neither psutil nor the handlers that look things up."""
    code = "import sys, daemon.commands.rank_table; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"psutil", "handlers.rank_table.hccn", "handlers.rank_table.table", "numpy", "pydantic"} & set(loaded)
