<%
    import re
    import sys

    # The message and the id come from a command line. repr() keeps the message a plain string whatever it holds;
    # an id becomes part of a file name, so one that could leave versions/ or shadow a keyword stops here.
    text = " ".join((message or "").split())
    docstring = '"""' + repr(text)[1:-1].replace('"', '\\"') + '"""'
    if not re.fullmatch(r"[0-9a-z_]{4,32}", up_revision) or up_revision in ("head", "heads", "base"):
        print(f"revision id {up_revision!r}: use 4 to 32 of 0-9, a-z and _ (not head, heads, base)", file=sys.stderr)
        raise ValueError("bad revision id")
%>\
${docstring}

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
