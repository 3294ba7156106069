# Targets for migrations, to be included at the end of a Makefile. `make @PREFIX@help-migrations` lists them.

# The path of this file. Where `make -f` has named it, it may contain spaces. A second include of it does nothing.
DBKIT_FILE := $(or $(wildcard $(lastword $(MAKEFILE_LIST))),$(strip $(MAKEFILE_LIST)))
ifeq ($(filter $(patsubst ./%,%,$(DBKIT_FILE)),$(value DBKIT_FILES)),)
DBKIT_FILES := $(value DBKIT_FILES) $(patsubst ./%,%,$(DBKIT_FILE))
DBKIT_TARGETS := help-migrations migrate revision rollback restore redo status current history graph diagram heads log psql check preflight drift \
	prove report roundtrip lint-migrations merge rebase-migration sql schema backfill wait

# The settings of the Makefile that includes this one; they are restored at the end.
DBKIT_SAVED_GOAL := $(.DEFAULT_GOAL)
DBKIT_SAVED_PREFIX := $(value .RECIPEPREFIX)
.RECIPEPREFIX :=

# The directory in which the commands run.
$(DBKIT_TARGETS): DBKIT_DIRECTORY := $(or $(subst migrations.mk,,$(DBKIT_FILE)),./)@PLACE@
$(DBKIT_TARGETS): DBKIT_UP := @UP@
DBKIT_CD = CDPATH= cd -- '$(subst ','\'',$(DBKIT_DIRECTORY))'

# The command: from the virtual environment that dbkit is installed in, else with the tool of the lock file, else with
# the python3 on PATH. Another one: make DBKIT="path/to/python -m dbkit" migrate
DBKIT ?= $(shell $(DBKIT_CD) && \
	for up in $(DBKIT_UP); do for venv in .venv venv; do \
		if [ -x "$$up$$venv/bin/dbkit" ]; then echo "$$up$$venv/bin/python -m dbkit"; exit; fi; \
	done; done; \
	for up in $(DBKIT_UP); do for tool in uv poetry pdm; do \
		if [ -f "$$up$$tool.lock" ]; then echo "$$tool run python -m dbkit"; exit; fi; \
	done; if [ -f "$${up}Pipfile.lock" ]; then echo "pipenv run python -m dbkit"; exit; fi; done; \
	echo "python3 -m dbkit")
DBKIT_ALEMBIC = $(patsubst dbkit,alembic,$(patsubst %/dbkit,%/alembic,$(DBKIT)))

# Variables that people pass (m="…", to=…). They reach the recipes verbatim, through the environment as DBKIT_m, DBKIT_to, …
# and in double quotes: make would expand $(…) when it exports a variable from its command line itself, and a shell would run it.
DBKIT_VARIABLES := m to plan from out empty online id since level rev table set where key again name overwrite last database STASH
$(foreach variable,$(DBKIT_VARIABLES),$(eval export DBKIT_$(variable) = $$(value $(variable))))
ifneq ($(filter $(DBKIT_TARGETS),$(value MAKECMDGOALS)),)
unexport $(DBKIT_VARIABLES)
endif
$(DBKIT_TARGETS): MAKEOVERRIDES =
# $(call dbkit-option,NAME,--OPTION): the option with its value when NAME=… was written on the command line, even if it is
# empty; with a third argument, `environment`, also when NAME is set there: STASH=0 make rollback
dbkit-option = $(if $(filter command $(value 3),$(origin $1)),$2="$$DBKIT_$1")

.PHONY: $(DBKIT_TARGETS)

## Migrations
migrate: ## apply pending migrations; to=REV; plan=1 shows what would run, and runs nothing
	@$(DBKIT_CD) && $(DBKIT) migrate $(call dbkit-option,to,--to) $(call dbkit-option,plan,--plan)
revision: ## write a migration from the models: m="T-12 add users"; online=1 in stages, empty=1 by hand, id=ID
	@$(DBKIT_CD) && $(DBKIT) revision --message="$$DBKIT_m" $(call dbkit-option,empty,--empty) $(call dbkit-option,online,--online) $(call dbkit-option,id,--rev-id)
rollback: ## undo the last migration and save the rows that are lost; to=REV; STASH=0 saves nothing
	@$(DBKIT_CD) && $(DBKIT) rollback $(call dbkit-option,to,--to) $(call dbkit-option,STASH,--stash,environment)
restore: ## restore the rows that a rollback saved, after migrate; name=STASH, overwrite=1
	@$(DBKIT_CD) && $(DBKIT) restore $(call dbkit-option,name,--name) $(call dbkit-option,overwrite,--overwrite)
redo: ## undo the last migration, apply it again and restore its rows
	@$(DBKIT_CD) && $(DBKIT) redo $(call dbkit-option,STASH,--stash,environment)
status: ## show the database, its revision, pending migrations and the next command
	@$(DBKIT_CD) && $(DBKIT) status

## Look
current: ## show the revision of the database, with alembic current
	@$(DBKIT_CD) && $(DBKIT_ALEMBIC) current
history: ## list all revisions, with alembic history, and draw them; last=N
	@$(DBKIT_CD) && $(DBKIT_ALEMBIC) history --indicate-current && echo && $(DBKIT) graph $(call dbkit-option,last,--last)
heads: ## list the newest revisions, with alembic heads
	@$(DBKIT_CD) && $(DBKIT_ALEMBIC) heads
graph: ## draw the revisions, with what is applied, when and by whom; out=FILE.svg last=N
	@$(DBKIT_CD) && $(DBKIT) graph $(call dbkit-option,out,--output) $(call dbkit-option,last,--last)
diagram: ## draw the tables of the migrated schema, or those that a revision touches: rev=REV; out=diagram.svg
	@$(DBKIT_CD) && $(DBKIT) diagram --output=$(if $(call dbkit-option,out,-),"$$DBKIT_out",diagram.svg) $(call dbkit-option,rev,--revision)
log: ## show the journal: what was applied, when and by whom
	@$(DBKIT_CD) && $(DBKIT) log
psql: ## open psql on the database
	@$(DBKIT_CD) && exec $(DBKIT) psql

## Prove
check: ## check that models, migrations and the schema snapshot agree
	@$(DBKIT_CD) && $(DBKIT) check
preflight: ## ask the rows of the database what the pending migrations demand of them; to=REV
	@$(DBKIT_CD) && $(DBKIT) preflight $(call dbkit-option,to,--to)
drift: ## compare models, migrations and the database, object by object
	@$(DBKIT_CD) && $(DBKIT) drift
prove: ## roundtrip and lint-migrations in one run; since=GIT_REF level=note
	@$(DBKIT_CD) && $(DBKIT) prove $(call dbkit-option,since,--since) $(call dbkit-option,level,--level)
report: ## write migrations.html, the review of each migration: SQL, locks, findings; since=GIT_REF out=FILE
	@$(DBKIT_CD) && $(DBKIT) report $(call dbkit-option,since,--since) --output=html=$(if $(call dbkit-option,out,-),"$$DBKIT_out",migrations.html)
roundtrip: ## prove each migration: up, down and up again on a scratch database; since=GIT_REF
	@$(DBKIT_CD) && $(DBKIT) roundtrip $(call dbkit-option,since,--since)
lint-migrations: ## report what each migration would do to a live database; since=GIT_REF level=note
	@$(DBKIT_CD) && $(DBKIT) lint $(call dbkit-option,since,--since) $(call dbkit-option,level,--level)

## Write
merge: ## join two heads: m="merge heads"
	@$(DBKIT_CD) && $(DBKIT) merge --message="$$DBKIT_m"
rebase-migration: ## move your migration behind another branch's, after a conflict in HEAD; rev=REV
	@$(DBKIT_CD) && $(DBKIT) rebase-migration $(call dbkit-option,rev,--revision)
sql: ## write the SQL of migrate to upgrade.sql; from=REV to=REV out=FILE
	@$(DBKIT_CD) && $(DBKIT) sql $(call dbkit-option,from,--from) $(call dbkit-option,to,--to) $(call dbkit-option,out,--out)
schema: ## write the schema snapshot
	@$(DBKIT_CD) && $(DBKIT) schema

## Rows
backfill: ## update many rows in batches: table=orders set="SQL"; where="SQL" key=COLUMNS again=1
	@$(DBKIT_CD) && $(DBKIT) backfill --set="$$DBKIT_set" $(call dbkit-option,where,--where) $(call dbkit-option,key,--key) $(call dbkit-option,again,--again) -- "$$DBKIT_table"

## The server
wait: ## wait until the database accepts connections
	@$(DBKIT_CD) && $(DBKIT) wait
help-migrations: DBKIT_LISTED := $(DBKIT_FILE)
help-migrations: ## list these commands
	@awk -F ':.*## ' '/^## /{print "\n" substr($$0, 4)} /^[a-z-]+:.*## /{printf "  make %-22s %s\n", $$1, $$2}' '$(subst ','\'',$(DBKIT_LISTED))'

# make without a target does what it did; with this file alone, it lists the commands
.DEFAULT_GOAL := $(if $(filter-out $(words $(DBKIT_FILE)),$(words $(MAKEFILE_LIST))),$(DBKIT_SAVED_GOAL),@PREFIX@help-migrations)
.RECIPEPREFIX := $(DBKIT_SAVED_PREFIX)
endif
