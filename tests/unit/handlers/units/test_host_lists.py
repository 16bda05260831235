"""Lists of hosts as Slurm prints them."""

import pytest

from handlers.units.host_lists import hosts


@pytest.mark.parametrize(
    ("told", "names"),
    (
        ("n1", ["n1"]),
        ("n1,login-2", ["n1", "login-2"]),
        ("n[1-2,7]", ["n1", "n2", "n7"]),
        ("n[08-11],m[3],k", ["n08", "n09", "n10", "n11", "m3", "k"]),
        ("r[1-2]n[01-02].hpc", ["r1n01.hpc", "r1n02.hpc", "r2n01.hpc", "r2n02.hpc"]),
        ("n[9-10]", ["n9", "n10"]),
    ),
)
def test_each_host_has_its_name(told: str, names: list[str]) -> None:
    """In the order of the list, as `scontrol show hostnames` (22.05) has it."""
    assert list(hosts(told)) == names


@pytest.mark.parametrize(
    "told",
    ("", "(null)]", "n[1-", "n[]", "n[a-b]", "n[2-1]", ",n1", "n1,,n2", "n1,", "n[1-999999999]", "n[0-999]m[0-999]"),
)
def test_what_is_no_list_is_of_no_hosts(told: str) -> None:
    """Nor is one that no cluster has."""
    assert hosts(told) == ()
