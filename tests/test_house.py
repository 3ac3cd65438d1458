"""The page of what the project costs to keep: what is counted from files, without measuring anything."""

from pathlib import Path

from docs.site import house

REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="x" time="0.4"/><testcase classname="tests.test_a" name="y" time="1.4"/>
<testcase classname="tests.fuzz.test_b" name="z" time="7.6"/>
</testsuite></testsuites>"""


def test_a_reports_seconds_are_summed_by_file(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    expected = [["`tests/fuzz/test_b.py`", "1", "8"], ["`tests/test_a.py`", "2", "2"]]
    assert house.seconds_of_files(tmp_path / "report.xml") == expected


def test_functions_are_listed_by_their_lines(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "a.py").write_text(
        "def short(): pass\n\nclass Net:\n    async def long(self):\n        x = 1\n        y = 2\n"
    )
    assert house.longest_functions(tmp_path / "net") == [["`net/a.py` `long`", "3"], ["`net/a.py` `short`", "1"]]


def test_each_language_names_the_same_columns() -> None:
    english, chinese = ([len(columns) for _, _, columns in sections] for _, *sections in house.WORDS.values())
    assert english == chinese == [4, 2, 3]
