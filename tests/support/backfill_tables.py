"""A table for backfills, and how far they are."""

from support.pair import Project

ROWS, FEW = 20_000, 4000


# every so often, a row takes its time: so that there is something to interrupt
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.0005); RETURN NEW; END';
CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.id % 5 = 0) EXECUTE FUNCTION slow();
"""


PROGRESS = "SELECT rows FROM dbkit_backfill ORDER BY id DESC LIMIT 1"


def rows_done(project: Project) -> int:
    """What the progress says; 0 before there is any."""
    if project.query("SELECT to_regclass('dbkit_backfill')") == [(None,)]:
        return 0
    return int(str((project.query(PROGRESS) or [(0,)])[0][0]))


def counted(project: Project) -> list[tuple[object, ...]]:
    """How often rows were done, with how many those are."""
    return project.query("SELECT n, count(*) FROM t GROUP BY n ORDER BY n")
