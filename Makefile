# Daily verbs. Each recipe is one line; what it does is in src/dbkit. `make` alone prints this list.

DBKIT := venv/bin/python -m dbkit
ALEMBIC := venv/bin/alembic -c alembic.ini
SHELL_FILES := venv-setup.sh .ci/run scripts/docker-entrypoint.sh scripts/interruptible.sh

# What people pass (m="…", to=…) reaches the recipes verbatim, through the environment and in double quotes: make would
# expand $(…) when it exports a variable from its command line itself, and a shell would run it.
MAKEOVERRIDES =
unexport m to from out empty id since level rev table set where key again name overwrite STASH
export DBKIT_M = $(value m)
export DBKIT_TO = $(value to)
export DBKIT_FROM = $(value from)
export DBKIT_OUT = $(value out)
export DBKIT_ID = $(value id)
export DBKIT_SINCE = $(value since)
export DBKIT_EMPTY = $(value empty)
export DBKIT_TABLE = $(value table)
export DBKIT_SET = $(value set)
export DBKIT_WHERE = $(value where)
export DBKIT_KEY = $(value key)
export DBKIT_AGAIN = $(value again)
export DBKIT_NAME = $(value name)
export DBKIT_OVERWRITE = $(value overwrite)
export DBKIT_LEVEL = $(value level)
export DBKIT_REV = $(value rev)
export DBKIT_STASH = $(value STASH)
# $(call given,NAME,OPTION): OPTION when NAME=… was written on the command line, even if it is empty
given = $(if $(filter command,$(origin $1)),$2)
# STASH may also be in the environment: STASH=0 make rollback
keeping = $(if $(filter command environment,$(origin STASH)),--stash="$$DBKIT_STASH")

.DEFAULT_GOAL := help
.PHONY: help setup migrate revision merge rebase-migration rollback restore redo backfill reset seed status current history heads check \
	sql schema log drift roundtrip lint-migrations psql wait db-start db-stop test lint format clean

help:
	@awk -F ':.*## ' '/^## /{print "\n" substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' Makefile

## Every day
setup: .env ## make ./venv and .env; safe to repeat
	@./venv-setup.sh
migrate: setup ## apply what is pending; to=REV
	@$(DBKIT) migrate $(call given,to,--to="$$DBKIT_TO")
revision: setup ## write a migration from the models: m="SHOP-12 add orders"; empty=1 to write it by hand, id=ID
	@$(DBKIT) revision --message="$$DBKIT_M" $(call given,empty,--empty="$$DBKIT_EMPTY") $(call given,id,--rev-id="$$DBKIT_ID")
rollback: setup ## undo the last migration and keep what that loses; to=REV; STASH=0 keeps nothing
	@$(DBKIT) rollback $(call given,to,--to="$$DBKIT_TO") $(keeping)
restore: setup ## put back what a rollback lost, after make migrate; name=STASH, overwrite=1
	@$(DBKIT) restore $(call given,name,--name="$$DBKIT_NAME") $(call given,overwrite,--overwrite="$$DBKIT_OVERWRITE")
redo: setup ## undo the last migration, apply it again and put back what that lost
	@$(DBKIT) redo $(keeping)
status: setup ## where the database stands and what to type next
	@$(DBKIT) status

## Look
current: setup ## the database's revision, as Alembic says it
	@$(ALEMBIC) current
history: setup ## all revisions
	@$(ALEMBIC) history --indicate-current
heads: setup ## the newest revisions
	@$(ALEMBIC) heads
log: setup ## what was applied, when and by whom
	@$(DBKIT) log
psql: setup ## a shell on the database
	@exec $(DBKIT) psql

## Prove
check: setup ## models match migrations, one head, schema snapshot fresh
	@$(DBKIT) check
drift: setup ## which of the models, the migrations and the database has moved, object by object
	@$(DBKIT) drift
roundtrip: setup ## prove each migration: up, down and up again on a throw-away database; since=GIT_REF
	@$(DBKIT) roundtrip $(call given,since,--since="$$DBKIT_SINCE")
lint-migrations: setup ## what each migration would do to a live database; since=GIT_REF level=note
	@$(DBKIT) lint $(call given,since,--since="$$DBKIT_SINCE") $(call given,level,--level="$$DBKIT_LEVEL")

## Write
merge: setup ## join two heads: m="merge heads"
	@$(DBKIT) merge --message="$$DBKIT_M"
rebase-migration: setup ## let your migration follow another branch's, after a conflict in HEAD; rev=REV
	@$(DBKIT) rebase-migration $(call given,rev,--revision="$$DBKIT_REV")
sql: setup ## the SQL that migrate would run, in upgrade.sql; from=REV to=REV out=FILE
	@$(DBKIT) sql $(call given,from,--from="$$DBKIT_FROM") $(call given,to,--to="$$DBKIT_TO") $(call given,out,--out="$$DBKIT_OUT")
schema: setup ## write backend/schema.sql
	@$(DBKIT) schema

## Rows
backfill: setup ## change many rows in batches: table=orders set="SQL"; where="SQL" key=COLUMNS again=1
	@$(DBKIT) backfill --set="$$DBKIT_SET" $(call given,where,--where="$$DBKIT_WHERE") $(call given,key,--key="$$DBKIT_KEY") $(call given,again,--again="$$DBKIT_AGAIN") -- "$$DBKIT_TABLE"

## The development database
seed: setup ## add sample rows
	@$(DBKIT) seed
reset: setup ## drop it and build it anew
	@$(DBKIT) reset
wait: setup ## wait until the database answers
	@$(DBKIT) wait
db-start: setup ## start the embedded server (other targets do it by themselves)
	@$(DBKIT) db-start
db-stop: setup ## stop the embedded server; its data stay
	@$(DBKIT) db-stop

## This kit
test: setup ## run the tests
	@rm -f .dbkit/tests-begun && DBKIT_BEGUN=.dbkit/tests-begun scripts/interruptible.sh venv/bin/python -m pytest
lint: setup ## ruff, mypy, shellcheck
	@venv/bin/ruff check && venv/bin/ruff format --check && venv/bin/mypy && venv/bin/shellcheck $(SHELL_FILES)
format: setup ## let ruff mend what it can
	@venv/bin/ruff check --fix && venv/bin/ruff format
clean: ## remove ./venv and caches; .env and the database stay
	@mkdir -p .dbkit && { test ! -e venv || mv venv ".dbkit/venv.old.$$$$"; } && rm -rf .dbkit/venv.old.* .nox .pytest_cache .mypy_cache .ruff_cache && find src scripts backend tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# whole or not at all, and never over one that is there
.env:
	@umask 077 && cp .env.example ".env.$$$$" && { ln ".env.$$$$" .env 2>/dev/null; rm -f ".env.$$$$"; test -e .env; }
