"""The battery of `dbkit adopt`, what a project has beside its migrations: Makefiles, noxfiles, CI files. Data only."""

RECIPES = "\ntest:\n\tpytest -q\n\nlint:\n\truff check\n"
MAKEFILES: dict[str, dict[str, str]] = {
    "plain": {"Makefile": f".PHONY: test lint\n{RECIPES}"},
    "no newline at the end": {"Makefile": f".PHONY: test lint\n{RECIPES}".rstrip("\n")},
    "a backslash at the end": {"Makefile": f"{RECIPES}\nSOURCES := a.py \\\n\tb.py"},
    "a default goal": {"Makefile": f".DEFAULT_GOAL := lint\n{RECIPES}"},
    "targets of the same names": {
        "Makefile": ".PHONY: migrate rollback status check revision\n\nall: check\n\nmigrate:\n\talembic upgrade head\n\nrollback:\n\talembic downgrade -1\n\n"
        'status:\n\tgit status\n\ncheck:\n\truff check\n\nrevision:\n\talembic revision --autogenerate -m "$(m)"\n\nlint-migrations:\n\ttrue\n\nroundtrip:\n\ttrue\n'
    },
    "double-colon rules and patterns": {
        "Makefile": "all:: one\n\techo one\n\none:\n\techo $@\n\nall::\n\techo two\n\n%.txt: one\n\techo $<\n"
    },
    "variables of the same names": {
        "Makefile": f"DBKIT := /opt/dbkit\nALEMBIC = alembic\nm ?= nothing\nto = here\nexport DBKIT m\n{RECIPES}\nshow:\n\techo $(DBKIT) $(ALEMBIC) $(m) $(to)\n"
    },
    "all in one shell": {"Makefile": f".ONESHELL:\nSHELL := /bin/bash\n.SHELLFLAGS := -euc\n{RECIPES}"},
    "another recipe prefix": {"Makefile": ".RECIPEPREFIX = >\n\ntest:\n> pytest -q\n"},
    "tests are the last lines": {"Makefile": f"{RECIPES}\nifeq ($(CI),)\nextra:\n\ttrue\nendif"},
    "all .mk files are included": {
        "Makefile": f"all: test\n{RECIPES}\ninclude $(wildcard *.mk)\n",
        "more.mk": "more:\n\ttrue\n",
    },
    "a missing file is included": {"Makefile": f"-include local.mk\n{RECIPES}"},
    "a directory of them": {"Makefile": f"all: test\n{RECIPES}\ninclude make/*.mk\n", "make/db.mk": "db:\n\tpsql\n"},
    "a help that reads them": {
        "Makefile": "help: ## show this\n\t@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort\n\ntest: ## run the tests\n\tpytest\n"
    },
    "makefile": {"makefile": RECIPES},
    "GNUmakefile": {"GNUmakefile": RECIPES},
    "GNUmakefile and Makefile": {"GNUmakefile": "real:\n\ttrue\n", "Makefile": RECIPES},
    "warnings for undefined variables": {
        "Makefile": f"MAKEFLAGS += --warn-undefined-variables --no-builtin-rules\n{RECIPES}"
    },
    "secondary expansion, no suffixes": {
        "Makefile": f".SUFFIXES:\n.SECONDEXPANSION:\n.DELETE_ON_ERROR:\n{RECIPES}\nboth: $$(wildcard *.none) test\n\ttrue\n"
    },
    "umlauts and dollars": {"Makefile": f"# für $$HOME\nNAME = größe\n{RECIPES}\nsize:\n\techo '$$NAME $(NAME)'\n"},
    "a define at the end": {"Makefile": f"{RECIPES}\ndefine BANNER\ntext:\n\tnot a recipe\nendef"},
    "a file that make refuses": {"Makefile": "test:\n        pytest\n"},
    "dollars in a shell line": {"Makefile": "V := $(shell echo 1)\n\nversion:\n\t@echo $(V)\n"},
    "empty": {"Makefile": ""},
}
MAKE_CRLF = {"Makefile": f"all: test\n{RECIPES}".replace("\n", "\r\n")}

SESSION = '@nox.session\ndef {name}(session):\n    session.run("true")\n'
NOXFILES: dict[str, str] = {
    "plain": f"import nox\n\n\n{SESSION.format(name='tests')}",
    "no newline at the end": f"import nox\n\n\n{SESSION.format(name='tests')}".rstrip("\n"),
    "sessions of the same names": 'import nox\n\nnox.options.sessions = ["lint"]\n'
    + "".join(
        f"\n\n{SESSION.format(name=name)}"
        for name in ("lint", "migrations_roundtrip", "migrations_lint", "migrations_check", "roundtrip", "check")
    ),
    "names in the decorator": 'import nox\n\n\n@nox.session(name="migrations_lint", python=["3.11", "3.12"])\ndef a(session):\n    pass\n\n\n@nox.session(name="migrations-roundtrip")\ndef b(session):\n    pass\n',
    "from nox": "from nox import options, session as task\n\noptions.reuse_existing_virtualenvs = True\n\n\n@task\ndef tests(session):\n    session.run('true')\n",
    "nox as n": "import nox as n\n\n\n@n.session\ndef tests(session):\n    session.run('true')\n",
    "parametrized, with a docstring and code at the end": '"""The sessions."""\nfrom __future__ import annotations\n\nimport nox\n\nnox.needs_version = ">=2022"\n\n\n@nox.session\n@nox.parametrize("django", ["4", "5"])\ndef tests(session, django):\n    """Run the tests."""\n\n\nif __name__ == "__main__":\n    nox.main()\n',
    "CRLF": f"import nox\n\n\n{SESSION.format(name='tests')}".replace("\n", "\r\n"),
    "a syntax error": "import nox\n\ndef tests(session:\n    pass\n",
    "empty": "",
    "variables of the same names": f"import nox\n\nmigrations = 1\ndbkit = 2\nos = 3\nPath = 4\n\n\n{SESSION.format(name='tests')}\nassert (migrations, dbkit, os, Path) == (1, 2, 3, 4)\n",
}

JOB = "unit:\n  stage: test\n  script:\n    - make test\n"
GITLAB: dict[str, str] = {
    "plain": f"stages:\n  - test\n  - deploy\n\n{JOB}",
    "no newline at the end": f"stages: [test]\n{JOB}".rstrip("\n"),
    "other stages": "stages:\n  - quality\n  - ship\n\nunit:\n  stage: quality\n  script: make\n",
    "no stages": "unit:\n  script: make\n",
    "a job of the same name": f"{JOB}\nmigrations:\n  script: alembic upgrade head\n\ndbkit:\n  script: 'true'\n\nmigrations-check:\n  script: 'true'\n",
    "include, a list": f"include:\n  - template: Security/SAST.gitlab-ci.yml\n  - local: ci/base.yml\n\n{JOB}",
    "include, a list without indentation": f"include:\n- template: Security/SAST.gitlab-ci.yml\n\n{JOB}",
    "include, one": f"include: ci/base.yml\n\n{JOB}",
    "include, one table": f"include:\n  local: ci/base.yml\n\n{JOB}",
    "include, in brackets": f"include: ['ci/base.yml', {{template: 'x.yml'}}]\n{JOB}",
    "include at the end": f"{JOB}\ninclude:\n  - local: ci/base.yml",
    "anchors, default and tags": ".base: &base\n  image: python:3.12\n  before_script: [pip install .]\n\ndefault:\n  tags: [docker]\n\nunit:\n  <<: *base\n  script: !reference [.base, before_script]\n",
    "a header of its own": f"spec:\n  inputs:\n    stage:\n      default: test\n---\n{JOB}",
    "CRLF": f"stages: [test]\n\n{JOB}".replace("\n", "\r\n"),
    "a comment at the end": f"{JOB}\n# the end",
    "a text block at the end": "unit:\n  script:\n    - |\n      make test\n      include:\n        - no",
    "tabs in a text block, two documents": f"---\n{JOB}  after_script:\n    - |\n      a\tb\n",
    "workflow rules": f"workflow:\n  rules:\n    - if: $CI_MERGE_REQUEST_ID\n\nvariables:\n  PGUSER: ci\n\nservices: [postgres:16]\n\n{JOB}",
}
