"""A password with characters that a URL escapes."""

from support.failure_modes import TABLE
from support.pair import Pair


def test_08_a_raw_at_sign_in_the_password(pair: Pair) -> None:
    pair.write(TABLE)
    url = "postgresql://u:se@cret@127.0.0.1:1/x"
    ini = pair.bare.root / "alembic.ini"
    ini.write_text(
        "\n".join(
            f"sqlalchemy.url = {url.replace('postgresql', 'postgresql+psycopg')}" if "sqlalchemy.url" in line else line
            for line in ini.read_text().splitlines()
        )
    )
    assert "cret" in pair.bare.alembic("upgrade", "head").stderr
    typed = pair.gated.alembic("upgrade", "head", env={"DATABASE_URL": url, "MIGRATION_WAIT": "1s"})
    assert typed.returncode == 2, typed.stderr
    assert "raw @" in typed.stderr or not pair.gated.driver
    assert "cret" not in typed.stdout + typed.stderr
    assert "Traceback" not in typed.stderr
