"""The section [dbkit] of alembic.ini: each key with its type, and what each mistake gets."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from dbkit import project
from dbkit.errors import InputError
from dbkit.project.config import PARSERS, ProjectConfig, read_config

HEAD = "[alembic]\nscript_location = %(here)s/migrations\njournal = of alembic's own\n\n"


def write(path: Path, section: str) -> Path:
    ini = path / "alembic.ini"
    ini.write_text(f"{HEAD}{section}", encoding="utf-8")
    return ini


@pytest.mark.parametrize("section", ["", "[dbkit]\n", "[dbkit]\nbaseline =\nsamples =\n"])
def test_what_is_not_set_has_its_default(tmp_path: Path, section: str) -> None:
    assert read_config(write(tmp_path, section)) == ProjectConfig()
    assert read_config(tmp_path / "missing.ini") == ProjectConfig()


def test_every_key_is_typed(tmp_path: Path) -> None:
    ini = write(
        tmp_path,
        "[dbkit]\njournal = Off\nbaseline = 4a1e\nsamples = rows/own\nsizes = %(here)s/sizes.txt\nsmall_table = 500\nstrict = on\n"
        "preflight = on\npreflight_timeout = 500ms\n",
    )
    assert read_config(ini) == ProjectConfig(
        journal=False,
        baseline="4a1e",
        samples=tmp_path / "rows/own",
        sizes=tmp_path / "sizes.txt",
        small_table=500,
        strict=True,
        preflight=True,
        preflight_timeout=0.5,
    )
    assert list(PARSERS) == [field.name for field in fields(ProjectConfig)]


def test_the_default_section_has_keys_of_others(tmp_path: Path) -> None:
    ini = write(tmp_path, "[DEFAULT]\nregion = eu\n\n[dbkit]\nbaseline = %(region)s-1\n")
    assert read_config(ini) == ProjectConfig(baseline="eu-1")


def test_a_key_of_the_section_wins_over_the_default_of_all(tmp_path: Path) -> None:
    ini = write(tmp_path, "[DEFAULT]\njournal = on\n\n[dbkit]\njournal = off\n")
    assert read_config(ini).journal is False


def test_a_file_in_another_encoding_is_read(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_bytes(f"# caf\u00e9\n{HEAD}[dbkit]\njournal = off\n".encode("latin-1"))
    assert read_config(ini).journal is False


@pytest.mark.parametrize(
    ("section", "message", "hint"),
    [
        (
            "[dbkit]\njournal = perhaps\n",
            "line 6: [dbkit] journal = 'perhaps' is neither on nor off",
            "Write on or off",
        ),
        ("[dbkit]\nstrict = very\n", "line 6: [dbkit] strict = 'very' is neither on nor off", "Write on or off"),
        ("[dbkit]\npreflight = 2s\n", "line 6: [dbkit] preflight = '2s' is neither on nor off", "Write on or off"),
        (
            "[dbkit]\npreflight_timeout = soon\n",
            "line 6: [dbkit] preflight_timeout = 'soon' is not a time",
            "Write 500ms",
        ),
        (
            "[dbkit]\n\nsmall_table=1e4\n",
            "line 7: [dbkit] small_table = '1e4' is not a number of rows",
            "Write a whole",
        ),
        ("[dbkit]\nsmall_table : -1\n", "line 6: [dbkit] small_table = '-1' is not", "Write a whole"),
        ("[dbkit]\nsmall_table = \u0663\n", "line 6: [dbkit] small_table = '\u0663' is not", "Write a whole"),
        ("[dbkit]\n# journal = x\nBasline = a1\n", "line 7: [dbkit] has an unknown key: 'basline'", "mean baseline?"),
        (
            "[dbkit]\nzzz = 1\n[other]\nzzz = 2\n",
            "line 6: [dbkit] has an unknown key: 'zzz'",
            "The keys are: journal, ",
        ),
        ("[dbkit]\nsamples = %(nowhere)s/x\n", "[dbkit]: Bad value substitution", ""),
        ("[dbkit]\njournal = on\njournal = off\n", "option 'journal' in section 'dbkit' already exists", ""),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, section: str, message: str, hint: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_config(write(tmp_path, section))
    assert str(tmp_path / "alembic.ini") in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_relative_path_is_read_before_the_directory_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_directory = tmp_path / "project"
    (project_directory / "migrations/versions").mkdir(parents=True)
    (project_directory / "alembic.ini").write_text(
        "[alembic]\nscript_location = migrations\n\n[dbkit]\nbaseline = 4a1e\n"
    )
    monkeypatch.chdir(tmp_path)
    assert project.load(Path("project/alembic.ini")).dbkit.baseline == "4a1e"
    assert Path.cwd() == project_directory


def test_it_is_read_when_a_project_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "migrations/versions").mkdir(parents=True)
    ini = write(tmp_path, "[dbkit]\nbaseline = 4a1e\n")
    assert project.load(ini).dbkit.baseline == "4a1e"
    with pytest.raises(InputError, match="unknown key"):
        project.load(write(tmp_path, "[dbkit]\nbase = 4a1e\n"))
