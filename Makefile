# The daily commands. Each recipe is one line and calls src/dbkit. `make` alone prints this list.
# Projects get the same recipes: src/dbkit/adoption/templates/migrations.mk, and new/Makefile.template beside it.

DBKIT := venv/bin/python -m dbkit
ALEMBIC := venv/bin/alembic -c alembic.ini

# Variables that people pass (m="…", to=…). They reach the recipes verbatim, through the environment as DBKIT_m, DBKIT_to, …
# and in double quotes: make would expand $(…) when it exports a variable from its command line itself, and a shell would run it.
VARIABLES := m to plan from out empty online id since level rev table set where key again name overwrite last STASH
MAKEOVERRIDES =
unexport $(VARIABLES)
$(foreach variable,$(VARIABLES),$(eval export DBKIT_$(variable) = $$(value $(variable))))
# $(call option,NAME,--OPTION): the option with its value when NAME=… was written on the command line, even if it is empty;
# with a third argument, `environment`, also when NAME is set there: STASH=0 make rollback
option = $(if $(filter command $3,$(origin $1)),$2="$$DBKIT_$1")

.DEFAULT_GOAL := help
# a target that is not there, also with -n: the nearest one is named, and make ends with 2
.DEFAULT:
	+@scripts/nearest-target.sh '$(subst ','\'',$@)'
.PHONY: help setup migrate revision merge rebase-migration rollback restore redo backfill reset seed status current history graph diagram heads check \
	sql schema log preflight drift prove report roundtrip lint-migrations psql wait db-start db-stop test lint format clean

help:
	@awk -F ':.*## ' '/^## /{print "\n" substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' Makefile

## Every day
setup: .env ## make ./venv and .env; safe to repeat
	@./venv-setup.sh
migrate: setup ## apply pending migrations; to=REV; plan=1 shows what would run, and runs nothing
	@$(DBKIT) migrate $(call option,to,--to) $(call option,plan,--plan)
revision: setup ## write a migration from the models: m="SHOP-12 add orders"; online=1 in stages, empty=1 by hand, id=ID
	@$(DBKIT) revision --message="$$DBKIT_m" $(call option,empty,--empty) $(call option,online,--online) $(call option,id,--rev-id)
rollback: setup ## undo the last migration and save the rows that are lost; to=REV; STASH=0 saves nothing
	@$(DBKIT) rollback $(call option,to,--to) $(call option,STASH,--stash,environment)
restore: setup ## restore the rows that a rollback saved, after make migrate; name=STASH, overwrite=1
	@$(DBKIT) restore $(call option,name,--name) $(call option,overwrite,--overwrite)
redo: setup ## undo the last migration, apply it again and restore its rows
	@$(DBKIT) redo $(call option,STASH,--stash,environment)
status: setup ## show the database, its revision, pending migrations and the next command
	@$(DBKIT) status

## Look
current: setup ## show the revision of the database, with alembic current
	@$(ALEMBIC) current
history: setup ## list all revisions, with alembic history, and draw them; last=N
	@$(ALEMBIC) history --indicate-current && echo && $(DBKIT) graph $(call option,last,--last)
heads: setup ## list the newest revisions, with alembic heads
	@$(ALEMBIC) heads
graph: setup ## draw the revisions, with what is applied, when and by whom; out=FILE.svg last=N
	@$(DBKIT) graph $(call option,out,--output) $(call option,last,--last)
diagram: setup ## draw the tables of the migrated schema, or those that a revision touches: rev=REV; out=diagram.svg
	@$(DBKIT) diagram --output=$(if $(call option,out,-),"$$DBKIT_out",diagram.svg) $(call option,rev,--revision)
log: setup ## show the journal: what was applied, when and by whom
	@$(DBKIT) log
psql: setup ## open psql on the database
	@exec $(DBKIT) psql

## Prove
check: setup ## check that models, migrations and backend/schema.sql agree
	@$(DBKIT) check
preflight: setup ## ask the rows of the database what the pending migrations demand of them; to=REV
	@$(DBKIT) preflight $(call option,to,--to)
drift: setup ## compare models, migrations and the database, object by object
	@$(DBKIT) drift
prove: setup ## roundtrip and lint-migrations in one run; since=GIT_REF level=note
	@$(DBKIT) prove $(call option,since,--since) $(call option,level,--level)
report: setup ## write migrations.html, the review of each migration: SQL, locks, findings; since=GIT_REF out=FILE
	@$(DBKIT) report $(call option,since,--since) --output=html=$(if $(call option,out,-),"$$DBKIT_out",migrations.html)
roundtrip: setup ## prove each migration: up, down and up again on a scratch database; since=GIT_REF
	@$(DBKIT) roundtrip $(call option,since,--since)
lint-migrations: setup ## report what each migration would do to a live database; since=GIT_REF level=note
	@$(DBKIT) lint $(call option,since,--since) $(call option,level,--level)

## Write
merge: setup ## join two heads: m="merge heads"
	@$(DBKIT) merge --message="$$DBKIT_m"
rebase-migration: setup ## move your migration behind another branch's, after a conflict in HEAD; rev=REV
	@$(DBKIT) rebase-migration $(call option,rev,--revision)
sql: setup ## write the SQL of migrate to upgrade.sql; from=REV to=REV out=FILE
	@$(DBKIT) sql $(call option,from,--from) $(call option,to,--to) $(call option,out,--out)
schema: setup ## write the schema snapshot, backend/schema.sql
	@$(DBKIT) schema

## Rows
backfill: setup ## update many rows in batches: table=orders set="SQL"; where="SQL" key=COLUMNS again=1
	@$(DBKIT) backfill --set="$$DBKIT_set" $(call option,where,--where) $(call option,key,--key) $(call option,again,--again) -- "$$DBKIT_table"

## The development database
seed: setup ## insert the rows of backend/seed.sql
	@$(DBKIT) seed
reset: setup ## drop and rebuild the development database
	@$(DBKIT) reset
wait: setup ## wait until the database accepts connections
	@$(DBKIT) wait
db-start: setup ## start the embedded server; other targets start it when they need it
	@$(DBKIT) db-start
db-stop: setup ## stop the embedded server; its data are kept
	@$(DBKIT) db-stop

## This kit
test: setup ## run the tests
	@rm -f .dbkit/tests-begun && DBKIT_BEGUN=.dbkit/tests-begun scripts/interruptible.sh venv/bin/python -m pytest
lint: setup ## check style, types, shell scripts, language and generated pages
	@venv/bin/python scripts/lint.py
format: setup ## fix and format with ruff
	@venv/bin/ruff check --fix && venv/bin/ruff format
clean: ## remove ./venv and caches; .env and the database are kept
	@mkdir -p .dbkit && { test ! -e venv || mv venv ".dbkit/venv.old.$$$$"; } && rm -rf .dbkit/venv.old.* .nox .pytest_cache .mypy_cache .ruff_cache && find src scripts backend tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

# written as a whole or not at all, and never over an existing one
.env:
	@umask 077 && cp .env.example ".env.$$$$" && { ln ".env.$$$$" .env 2>/dev/null; rm -f ".env.$$$$"; test -e .env; }
