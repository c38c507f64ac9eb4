"""Plans as people write them: what is read, and what is said when it is wrong."""

from __future__ import annotations

import re

import msgspec
import pytest
from helpers.checkout import CHECKOUT

from bench.errors import UsageError
from bench.experiment.planning.plan_file import (
    PRESETS,
    PlanFile,
    asked_for,
    find_plan,
    plan_of,
    preset_names,
)
from bench.experiment.planning.server_table import ServerTable, parse_server, split_servers
from bench.experiment.planning.threshold_table import ThresholdTable, require_cells
from bench.experiment.planning.values import accepted
from bench.experiment.planning.workload_name import CELL, workload_name
from bench.experiment.planning.workload_table import WorkloadTable, crossed
from clients.keys import workload_of
from clients.shapes import Ramp


def expand(table, where="here"):
    """Return the workloads of one table."""
    return WorkloadTable.read(table, where).crossed().workloads


def workloads_of(plan):
    return [named for table in plan.workload for named in table.workloads]


@pytest.fixture
def plan_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_a_plan_is_read_whole(plan_file, tmp_path):
    path = plan_file("""
            servers = ["threads"]
            trials = 5
            seed = 7
            [[server]]
            name = "mine"
            command = "go run './my echo' --port {port}"
            env = { GOGC = "off" }
            cwd = "src"
            [[workload]]
            connections = [1, 16]
            rate_per_s = 1000
        """)
    plan = asked_for(str(path))
    assert (plan.name, plan.trials, plan.seed) == ("mine", 5, 7)
    assert plan.server[0].words == ("go", "run", "./my echo", "--port", "{port}")
    assert plan.server[0].cwd == str(tmp_path / "src")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("trails = 3", ["unknown key 'trails': did you mean 'trials'?"]),
        ("trials = 'three'", ["trials is 'three', and must be a whole number from 1 to 99999"]),
        ("trials = 0", ["trials is 0, and must be a whole number from 1 to 99999"]),
        ("trials = 100000", ["trials is 100000, and must be a whole number from 1 to 99999"]),
        ("minutes = inf", ["minutes is inf, and must be a number of minutes above 0, and 525600 at most"]),
        ('name = "a\\n"', ["name is 'a\\n', and must be letters, digits"]),
        (f"name = '{'a' * 101}'", ["beginning with a letter or a digit, and 100 at most"]),
        ("servers = " + 5_000 * "[", ["has too many brackets within each other"]),
        ("trials = 1.5", ["trials is 1.5"]),
        ("servers = 'threads'", ["servers is 'threads', and must be a list of names"]),
        ("servers = [1]", ["servers is [1], and must be a list of names"]),
        ("name = 'a b'", ["name is 'a b', and must be letters, digits"]),
        ("seed = -1", ["seed is -1, and must be a whole number, 0 or more"]),
        ("workload = 3", ["workload must be tables: write [[workload]]"]),
        ("server = {}", ["server must be tables: write [[server]]"]),
        ("[[server]]\nname = 'x'\ncomand = 'y'", ["[[server]] 1: unknown key 'comand': did you mean 'command'?"]),
        ("[[server]]\nname = 'x'", ["[[server]] 1: x needs one of command, file and target, and has 0 of them"]),
        ("[[server]]\nname = 'x'\ncommand = 'a'\nfile = 'b'", ["has 2 of them"]),
        ("[[server]]\ncommand = 'a'", ["[[server]] 1", "name is missing, and must be letters, digits and"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nport = 'z'", ["port is 'z', and must be a port number, 1 to 65535"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nport = 65536", ["port is 65536"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nready = 'soon'", ["ready is 'soon'", '"line"', '"port"', '"either"']),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nready = 'port'", ["x must know its port: put {port} into"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nenv = { A = 1 }", ["env is {'A': 1}, and must be a table of texts"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nstop_signal = 'SIGTREM'", ["did you mean 'SIGTERM'?"]),
        ("[[server]]\nname = 'x'\ncommand = '  '", ["the command of x is empty"]),
        ("[[server]]\nname = 'x'\ncommand = \"a 'b\"", ["cannot be split into words"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\npid = 3", ["pid belongs to a target"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\npid = 9999999999", ["pid is 9999999999, and must be a process id"]),
        ("[[server]]\nname = 'x'\ncommand = \"y\\u0000\"", ["x has a zero byte in its command, env, cwd or file"]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nenv = {'A=B' = ''}", ["has a variable 'A=B': name it without ="]),
        ("[[server]]\nname = 'x'\ncommand = 'y'\nready_timeout_s = inf", ["ready_timeout_s is inf", "86400 at most"]),
        (
            "[[server]]\nname = 'x'\nfile = '~nobodys/x.py'",
            ["x is at ~nobodys/x.py, and that home is not known"],
        ),
        ("[[server]]\nname = 'x'\ntarget = 'unix:@x'", ["'unix:@x' is a socket without a file, which cannot be"]),
        ("[[server]]\nname = 'x'\ntarget = 'nowhere'", ["'nowhere' is not an address: write HOST:PORT"]),
        ("[[workload]]\nconections = 1", ["[[workload]] 1: unknown key 'conections': did you mean 'connections'?"]),
        ("[[workload]]\nconnections = 'many'", ["connections is 'many', and must be a whole number, 1 or more"]),
        ("[[workload]]\nconnections = [1, true]", ["connections is True, and must be a whole number"]),
        ("[[workload]]\nconnections = []", ["connections is [], and must be", "or a list of such"]),
        ("[[workload]]\nconnections = 0", ["[[workload]] 1: connections is 0, and must be a whole number, 1 or more"]),
        ("[[workload]]\nconnections = '64..1'", ["connections is '64..1', and must be a number that only grows"]),
        ("[[workload]]\nconnections = ['1,8', '8,1']", ["[[workload]] 1: connections is '8,1', and must be"]),
        ("[[workload]]\nmessage_bytes = '9..3'", ["message_bytes is '9..3', and must be a size"]),
        ("[[workload]]\nmessage_bytes = '1parsec'", ["message_bytes is '1parsec', and must be"]),
        ("[[workload]]\nduration_s = '2 fortnights'", ["duration_s is '2 fortnights'", "such as 500ms"]),
        ("[[workload]]\nduration_s = -1", ["duration_s is -1"]),
        ("[[workload]]\nrate_per_s = 'nan'", ["rate_per_s is 'nan'"]),
        ("[[workload]]\nrate_per_s = -5", ["rate_per_s is -5.0, and must be a number above 0"]),
        ("[[workload]]\nrate_per_s = '-5..10'", ["rate_per_s is '-5..10', and must be 0 or more in every part"]),
        ("[[workload]]\nrate_per_s = 5\nthink_s = 1", ["[[workload]] 1: think_s is 1.0, and must be 0 with a rate"]),
        ("[[workload]]\narrivals = 'poisson'", ['arrivals is \'poisson\', and must be "constant" or "poisson" with a']),
        ("[[workload]]\n[[workload]]\npipeline = 0", ["[[workload]] 2: pipeline is 0, and must be a whole number"]),
        ("[[workload]]\nservers = 'threads'", ["servers is 'threads', and must be a list of names"]),
        ("[[workload]]\nblocks_per_round = 0", ["blocks_per_round is 0, and must be a whole number from 1"]),
        ("[[workload]]\nblocks_per_round = true", ["blocks_per_round is True, and must be a whole number from 1"]),
        ("[[workload]]\nname = 3", ["name is 3, and must be text"]),
        ("[[workload]]\nname = ''", ["name is '', and must be text of 1 to 100 characters that can be printed"]),
        ('[[workload]]\nname = "\\u001b[31m"', ["name is '\\x1b[31m', and must be text of 1 to 100 characters"]),
        ("[[workload]]\nservers = []", ["servers is [], and must be a list of names of servers, one or more"]),
        (f"[[workload]]\nconnections = '{'9' * 5_000}'", ["and must be a whole number, 1 or more"]),
        (f"[[workload]]\nmessage_bytes = '{'9' * 400}'", ["and must be a size of 1 byte or more"]),
        ("trials = ", ["is not TOML"]),
    ],
)
def test_what_is_wrong_is_said_with_file_key_and_what_is_accepted(plan_file, text, words):
    path = plan_file(text)
    with pytest.raises(UsageError) as caught:
        workloads_of(asked_for(str(path)))
    assert str(path) in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_plan_of_an_editor_that_marks_utf_8_is_read(plan_file, encoding):
    path = plan_file("")
    path.write_bytes("description = 'µ'\r\n".encode(encoding))
    assert asked_for(str(path)).description == "µ"


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_plan_in_another_encoding_is_told_which_to_use(plan_file, encoding):
    path = plan_file("")
    path.write_bytes("description = 'µ'".encode(encoding))
    with pytest.raises(UsageError, match="is not in UTF-8: save it in that encoding"):
        asked_for(str(path))


@pytest.mark.parametrize(
    ("file", "name"),
    [("my plan.toml", "my-plan"), ("план.toml", "plan"), (f"{'a' * 200}.toml", "a" * 100), (".toml", "toml")],
)
def test_a_plan_without_a_name_is_called_after_its_file(tmp_path, file, name):
    path = tmp_path / file
    path.write_text("")
    assert asked_for(str(path)).name == name


def test_a_plan_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the plan .*nosuch\.toml: No such file"):
        asked_for(str(tmp_path / "nosuch.toml"))


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="unknown preset 'quikc': did you mean 'quick'"):
        find_plan("quikc")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_read_and_says_what_it_is_for(name):
    plan = asked_for(name)
    assert plan.name == name
    assert plan.description
    assert find_plan(name).parent == PRESETS


def test_the_presets_that_others_name_are_there():
    assert {"smoke", "quick", "full", "c10k"} <= set(preset_names())


def test_quick_compares_the_tutorials_servers_at_four_crowds_in_four_minutes():
    plan = asked_for("quick")
    workloads = [named.workload for named in workloads_of(plan)]
    assert {"sequential", "threads", "generators", "coroutines", "asyncio-streams", "asyncio-protocol"} == {
        *plan.servers
    }
    assert [workload.connections for workload in workloads] == [1, 16, 128, 1000]
    assert {workload.message_bytes for workload in workloads} == {1024}
    assert plan.minutes == 4


def test_a_plan_comes_back_from_its_json(plan_file):
    path = plan_file("servers = ['threads']\n[[server]]\nname = 'x'\ncommand = ['y']\n[[workload]]\npipeline = 2")
    plan = asked_for(str(path), workload={"connections": ["1..64"]})
    assert plan_of(plan.source, "run.json") == plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("threads", "threads"),
        ("threads@python3.13", "threads@python3.13"),
        ("./mine.py", {"name": "mine", "file": "mine.py"}),
        ("mine.py", {"name": "mine", "file": "mine.py"}),
        ("fast=./mine.py", {"name": "fast", "file": "mine.py"}),
        ("go=go run ./echo --port {port}", {"name": "go", "command": "go run ./echo --port {port}"}),
        ("go=env A=b ./echo.py {port}", {"name": "go", "command": "env A=b ./echo.py {port}"}),
        ("/opt/a=b.py", {"name": "a=b", "file": "/opt/a=b.py"}),
    ],
)
def test_option_server_takes_a_name_a_file_or_a_command(text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = parse_server(text)
    if isinstance(expected, str):
        assert found == expected
    elif "file" in expected:
        assert found == ServerTable(name=expected["name"], file=str(tmp_path / expected["file"]), cwd=str(tmp_path))
    else:
        assert found == ServerTable(**expected, cwd=str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine=", "write a command, or a file with serve"),
        ("python x.py {port}", 'a command needs a name, by which tables call it: write "mine=python x.py {port}"'),
        ("./server", 'write "mine=./server"'),
        ("mine=python x.py", "mine is not told its port: put {port} into the command"),
    ],
)
def test_a_command_without_a_name_or_a_port_is_said_at_once(text, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        split_servers([text], [])


PLAN = {
    "servers": ["threads"],
    "optional_servers": ["uvloop-protocol"],
    "server": [{"name": "x", "command": "y"}],
    "workload": [{"connections": [1, 16]}, {"connections": 1, "pipeline": 4}],
}


def test_the_command_line_replaces_what_it_names_and_nothing_else():
    plan = plan_of(PLAN, "plan", workload={"connections": ["8"]}, trials=9, seed=None, pythons=("py",))
    assert (plan.servers, plan.trials, plan.pythons) == (["threads"], 9, ("py",))
    assert [table.raw for table in plan.workload] == [{"connections": ["8"]}, {"connections": ["8"], "pipeline": 4}]
    assert [named.workload.connections for named in workloads_of(plan)] == [8, 8]
    assert plan.seed is not None


def test_what_the_command_line_leaves_out_stays():
    plan = plan_of({**PLAN, "pythons": ["py"], "seed": 4}, "plan", pythons=(), trials=None)
    assert (plan.pythons, plan.trials, plan.seed) == (["py"], None, 4)
    assert plan.workload == plan_of(PLAN, "elsewhere").workload


def test_what_is_wrong_on_the_command_line_is_named_by_its_option():
    raw = {"workload": [{"think_s": 1}]}
    for option, says in (
        ({"rate_per_s": ["fast"]}, "--rate is 'fast', and must be a number above 0"),
        ({"rate_per_s": ["-5..10"]}, r"--rate is '-5\.\.10', and must be 0 or more"),
        ({"rate_per_s": ["5"]}, r"mine.toml: \[\[workload\]\] 1: think_s is 1.0, and must be 0 with a rate"),
        ({"arrivals": ["bursts"]}, "--arrivals is 'bursts', and must be"),
    ):
        with pytest.raises(UsageError, match=f"^{says}"):
            workloads_of(plan_of(raw, "mine.toml", workload=option))


def test_the_command_line_mends_what_a_plan_has_wrong():
    table = WorkloadTable.read({"connections": 0, "pipeline": 2}, "plan")
    (mended,) = crossed([table], {"connections": ["1"]})
    assert [(named.workload.connections, named.workload.pipeline) for named in mended.workloads] == [(1, 2)]


def test_options_that_make_workloads_alike_keep_the_longest_window():
    """The tables of the preset differ in their connections and windows: `--connections` leaves one of each name."""
    longest = max(named.workload.duration_s for named in workloads_of(asked_for("quick")))
    for given in (["64"], ["1", "64"]):
        found = workloads_of(asked_for("quick", workload={"connections": given}))
        assert [named.workload.connections for named in found] == [int(text) for text in given]
        assert {named.workload.duration_s for named in found} == {longest}


def test_options_leave_workloads_of_other_servers_apart():
    raw = {"servers": ["threads", "coroutines"], "workload": [{"servers": ["threads"]}, {"servers": ["coroutines"]}]}
    assert len(plan_of(raw, "plan", workload={"connections": ["2"]}).workload) == 2


def test_servers_on_the_command_line_may_name_those_of_the_plan():
    plan = plan_of(PLAN, "plan", servers=["x", "sequential"], target="[::1]:7", pid=1)
    assert (plan.servers, plan.optional_servers) == (["sequential"], [])
    assert [(table.name, table.target, table.pid) for table in plan.server] == [
        ("x", None, None),
        ("target", "[::1]:7", 1),
    ]


def test_a_pid_needs_a_target():
    with pytest.raises(UsageError, match="give --target too"):
        plan_of(PLAN, "plan", pid=3)


def test_lists_are_crossed_and_every_workload_has_a_name_of_its_own():
    found = expand({"connections": [1, 16], "message_bytes": [64, "1KiB"], "servers": ["threads"]}, "here")
    assert [named.name for named in found] == ["c1-64B", "c1-1KiB", "c16-64B", "c16-1KiB"]
    assert [named.workload.message_bytes for named in found] == [64, 1024, 64, 1024]
    assert {tuple(named.only) for named in found} == {("threads",)}


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ({}, "c1-1KiB"),
        ({"rate_per_s": 20000}, "c1-1KiB-r20000-constant"),
        ({"rate_per_s": 20000, "arrivals": "poisson", "duration_s": "500ms"}, "c1-1KiB-r20000-poisson"),
        ({"rate_per_s": "1000..20000"}, "c1-1KiB-r1000..20000-constant"),
        ({"connections": "1,8,64", "pipeline": 4}, "c1,8,64-1KiB-pipeline4"),
        ({"message_bytes": "64:9,16KiB:1", "requests_per_connection": 10}, "c1-64:9,16KiB:1-churn10"),
        ({"think_s": "5ms"}, "c1-1KiB-think0.005s"),
        ({"name": "mine", "pipeline": 4}, "mine"),
    ],
)
def test_a_workload_is_named_by_what_is_special_about_it(table, name):
    assert [named.name for named in expand(table)] == [name]


def test_a_name_comes_before_the_names_of_several():
    assert [named.name for named in expand({"name": "x", "pipeline": [1, 2]}, "")] == [
        "x-c1-1KiB",
        "x-c1-1KiB-pipeline2",
    ]


def test_a_profile_has_the_most_connections_it_reaches():
    (named,) = expand({"connections": "1..64"})
    assert named.workload.connections == 64
    assert named.workload.connections_profile == Ramp(1, 64)


CELLS = [
    # these are keys of the ledgers that people have
    ({"connections": "16"}, "c16/1024B"),
    ({"connections": "16", "message_bytes": "1KiB", "pipeline": "8"}, "c16/1024B/p8"),
    ({"connections": "4", "pipeline": "8", "rate_per_s": "2000"}, "c4/1024B/p8/2000ps"),
    ({"rate_per_s": "0.5"}, "c1/1024B/0.5ps"),
    # two workloads that differ have names that differ
    ({"rate_per_s": "2000", "arrivals": "constant"}, "c1/1024B/2000ps/constant"),
    ({"rate_per_s": "1000..2000"}, "c1/1024B/1000..2000ps"),
    ({"connections": "1..64"}, "c1..64/1024B"),
    ({"message_bytes": "64:9,16KiB:1"}, "c1/64:9,16KiB:1B"),
    ({"requests_per_connection": "10", "think_s": "5ms"}, "c1/1024B/churn10/think0.005s"),
]


@pytest.mark.parametrize(("texts", "name"), CELLS)
def test_workload_name_of_a_cell_finds_its_remembered_noise(texts, name):
    assert workload_name(workload_of(texts, arrivals="poisson"), CELL) == name


def test_the_plan_in_the_docs_is_one(plan_file):
    text = (CHECKOUT / "docs" / "plans.md").read_text()
    whole = max(re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL), key=len)
    plan = asked_for(str(plan_file(whole)))
    assert [table.name for table in plan.server] == ["ours", "staging", "mine"]
    assert [len(table.workloads) for table in plan.workload] == [4, 2]
    for name in preset_names():
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("struct", [PlanFile, ServerTable, ThresholdTable])
def test_every_key_says_what_it_accepts(struct):
    tables = {"server", "workload", "threshold"} if struct is PlanFile else set()
    fields = [field for field in msgspec.structs.fields(struct) if field.name not in tables]
    assert all(accepted(field) for field in fields)


def test_thresholds_are_read_kept_and_read_again(plan_file):
    path = plan_file("""
            servers = ["threads"]
            seed = 1
            [[threshold]]
            metric = "p99"
            comparison = ">"
            value = "5ms"
            server = "threads"
        """)
    plan = asked_for(str(path))
    assert [table.rule.text for table in plan.threshold] == ["p99 > 5ms"]
    assert plan_of(plan.source, "again").threshold == plan.threshold
    given = asked_for(str(path), fail_if=["threads c1:cpu > 40us", "* c16: errors>0", "memory >= 1MiB"])
    assert [(table.server, table.workload, table.metric) for table in given.threshold] == [
        ("threads", "c1", "cpu"),
        (None, "c16", "errors"),
        (None, None, "memory"),
    ]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"metric": "p98"}, "unknown metric 'p98': did you mean 'p99'?"),
        ({"metric": "memory"}, "'5ms' is no limit of memory: write a size with its unit"),
        ({"comparison": "="}, 'comparison is \'=\', and must be ">", ">=", "<" or "<="'),
        ({"value": ["5ms"]}, "and must be a value with its unit"),
        ({"sever": "x"}, "unknown key 'sever': did you mean 'server'?"),
    ],
)
def test_a_wrong_threshold_is_named_with_its_place(table, says):
    with pytest.raises(UsageError) as caught:
        plan_of({"threshold": [{"metric": "p99", "comparison": ">", "value": "5ms"} | table]}, "mine.toml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("mine.toml: [[threshold]] 1: ")


@pytest.mark.parametrize(
    ("server", "workload", "says"),
    [
        ("treads", None, "unknown server of a threshold 'treads': did you mean 'threads'?"),
        (None, "c61", "unknown workload of a threshold 'c61': did you mean 'c1'?"),
        ("threads", "c1", "threads is not measured under c1"),
        ("threads", "c16", None),
        ("pypy", None, None),
    ],
)
def test_a_threshold_is_about_a_cell_of_the_plan(server, workload, says):
    table = ThresholdTable(metric="p99", comparison=">", value="5ms", server=server, workload=workload)
    cells = [("threads", "c16"), ("pypy@pypy3", "c1")]
    if says is None:
        require_cells([table], cells)
    else:
        with pytest.raises(UsageError, match=re.escape(says)):
            require_cells([table], cells)
