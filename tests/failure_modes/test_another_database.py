"""A URL for another kind of database, and the .env of a parent directory."""

import pytest

from support.failure_modes import TABLE, one_line
from support.pair import Pair


def test_09_another_kind_of_database(pair: Pair) -> None:
    pair.write("op.create_table('t', sa.Column('id', sa.Integer))")
    ini = pair.bare.root / "alembic.ini"
    ini.write_text(
        "\n".join(
            "sqlalchemy.url = sqlite:///x.db" if "sqlalchemy.url" in line else line
            for line in ini.read_text().splitlines()
        )
    )
    assert pair.bare.alembic("upgrade", "head").returncode == 0
    assert (pair.bare.root / "x.db").exists()
    if pair.gated.driver == "asyncpg":
        pytest.skip("SQLAlchemy refuses an asynchronous engine for it, before the gate")
    typed = pair.gated.alembic("upgrade", "head", env={"DATABASE_URL": "sqlite:///x.db"})
    words = "sqlite" if pair.gated.driver else "begins with sqlite://"
    assert (typed.returncode, words in one_line(typed.stderr)) == (2, True)
    # env.py may connect, which makes an empty file
    made = pair.gated.root / "x.db"
    assert not (made.stat().st_size if pair.gated.driver and made.exists() else made.exists())


@pytest.mark.kit
def test_09_a_parents_dotenv_is_not_read(pair: Pair) -> None:
    (pair.gated.root.parent / ".env").write_text("DATABASE_URL=sqlite:///x.db\n")
    pair.write(TABLE)
    assert pair.gated.alembic("upgrade", "head").returncode == 0
