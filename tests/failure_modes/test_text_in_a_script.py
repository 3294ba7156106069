"""A script has the text that the server gets online."""

import os
import subprocess

import psycopg

from dbkit.postgres.binaries import client_program
from dbkit.settings import Settings
from support.pair import Pair, url_of

TEXT = "50%\t\\:a :b \\\\ %(x)s"


def test_05_a_text_is_the_same_online_and_in_a_script(pair: Pair, local_settings: Settings) -> None:
    quoted = TEXT.replace("\\:", "\\\\:").replace(":b", "\\:b")
    pair.write(
        f"import sqlalchemy as sa\nop.create_table('t', sa.Column('a', sa.Text(), comment={TEXT!r}, server_default={TEXT!r}))\n"
        f"op.execute({f'CREATE TABLE u AS SELECT {chr(39)}{quoted}{chr(39)} AS a -- the end'!r})"
    )
    script = pair.gated.alembic("upgrade", "head", "--sql")
    assert script.returncode == 0, script.stderr
    psql = [client_program(local_settings, "psql"), "-X", "-q", url_of(pair.gated.target)]
    # a script is for servers with this default: Alembic cannot ask one
    environment = os.environ | {"PGOPTIONS": "-c standard_conforming_strings=on"}
    subprocess.run(psql, input=script.stdout, text=True, check=True, env=environment)
    with psycopg.connect(**pair.gated.target.parameters()) as connection:
        assert connection.execute("SELECT col_description('t'::regclass, 1), a FROM u").fetchone() == (TEXT, TEXT)
