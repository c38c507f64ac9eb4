"""The sentences of a page about many servers stay short."""

from bench.analysis.report.choosing import MOST_PRICED, multiples
from bench.analysis.report.tables import facts


def test_few_prices_are_named_and_the_others_are_a_range():
    names = [f"server-{number}" for number in range(MOST_PRICED + 4)]
    said = ", ".join(multiples({name: 1.5 + number / 4 for number, name in enumerate(names)})).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert all(name in said for name in names[:MOST_PRICED])
    assert said.endswith(", 4 others 2.75 to 3.50 \N{MULTIPLICATION SIGN}")
    assert names[MOST_PRICED] not in said


def test_a_single_server_beyond_those_is_named_too():
    told = {f"server-{number}": 2.0 for number in range(MOST_PRICED + 1)}
    assert [one.split()[0] for one in multiples(told)] == list(told)


def test_a_fact_of_several_parts_is_written_for_people():
    parts = {"description": "CPython 3.11.7", "libraries": {"uvloop": "0.23.0", "trio": None}}
    said = facts({"interpreters": {"/usr/bin/python3": parts}})
    assert said == [
        ("Interpreters", [("/usr/bin/python3", "description: CPython 3.11.7; libraries: uvloop: 0.23.0")]),
    ]
