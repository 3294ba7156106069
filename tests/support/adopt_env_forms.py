"""The battery of `dbkit adopt`, env.py in less usual forms: imports, names, bytes; and those that must be left. Data only."""

from support.adopt_env_files import APP, IMPORTS, WRAPPED, EnvFile, body

E = EnvFile
PLAIN = f"import os\n\nfrom alembic import context\n{IMPORTS}{body()}"


def after(imports: str, context: str = "context") -> str:
    """Return an env.py with these lines as its first, in the place of the import of `context`."""
    return f"{imports}\nimport os\n{IMPORTS}{body(context)}"


IMPORTED = [
    E("the usual order", PLAIN),
    E("another name", after("from alembic import context as alembic_context", "alembic_context")),
    E("the module under another name", after("import alembic.context as ctx", "ctx")),
    E("the package", after("import alembic", "alembic.context")),
    E(
        "the module",
        after(
            "import logging.config\n\nimport alembic.context  # type: ignore\nimport sqlalchemy.pool", "alembic.context"
        ),
    ),
    E("with other names", after("from alembic import op, context")),
    E("with a command, renamed", after("from alembic import command, context as alembic_context", "alembic_context")),
    E("in parentheses", after("from alembic import (\n    context,\n    op,\n)")),
    E(
        "in parentheses, with comments",
        after("from alembic import (  # the environment (\n    context,  # )\n)  # noqa"),
    ),
    E("with a backslash", after("from alembic \\\n    import context")),
    E(
        "behind a semicolon",
        f"import os, sys; from logging.config import fileConfig; from alembic import context; from sqlalchemy import create_engine, pool\n{body()}",
    ),
    E("before a semicolon", after("from alembic import context; config = context.config")),
    E("a semicolon at the end", after("from alembic import context;")),
    E(
        "all in one line",
        "import os; from alembic import context; from sqlalchemy import create_engine; connection = create_engine(os.environ['DATABASE_URL']).connect(); "
        "context.configure(connection=connection); transaction = context.begin_transaction(); transaction.__enter__(); context.run_migrations(); transaction.__exit__(None, None, None)\n",
        "either",
    ),
    E(
        "in a try",
        after(
            "import sys\n\ntry:\n    from alembic import context\nexcept ImportError:\n    sys.path.append('lib')\n    from alembic import context\n"
        ),
    ),
    E(
        "in a try, with an else",
        after(
            "try:\n    import app\n    from alembic import context\nexcept ImportError as error:\n    raise SystemExit(str(error))\nelse:\n    ready = True\nfinally:\n    tried = True\n"
        ),
        files=APP,
    ),
    E("in an if, with tabs", after("if True:\n\timport sys\n\n\tfrom alembic import context\n\tready = 1\n")),
    E(
        "in a with",
        after(
            "import warnings\n\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    from alembic import context\n"
        ),
    ),
    E(
        "in both branches",
        after(
            "import sys\n\nif sys.version_info >= (3, 8):\n    from alembic import context\nelse:\n    from alembic import context as context\n"
        ),
    ),
    E("on the line of an if", after("if True: from alembic import context"), "either"),
    E(
        "in a function",
        "import os\n\n\ndef main():\n    from alembic import context\n    from sqlalchemy import create_engine, pool\n\n"
        '    with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:\n        context.configure(connection=connection)\n'
        "        with context.begin_transaction():\n            context.run_migrations()\n\n\nmain()\n",
        "either",
    ),
    E(
        "for types first",
        after(
            "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from alembic import context\n\nfrom alembic import context  # noqa: F811\n"
        ),
    ),
    E("twice", after("from alembic import context\nimport sys\nfrom alembic import context\n")),
    E("with a star", after("from alembic import *"), "either"),
    E("by importlib", after('import importlib\n\ncontext = importlib.import_module("alembic.context")\n'), "either"),
    E(
        "from the project",
        after("from app.migrating import context"),
        "either",
        files={"app/__init__.py": "", "app/migrating.py": "from alembic import context\n"},
    ),
    E(
        "its functions",
        f"import os\n\nfrom alembic.context import begin_transaction, configure, run_migrations\n{IMPORTS}\n"
        'with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:\n    configure(connection=connection)\n'
        "    with begin_transaction():\n        run_migrations()\n",
        "either",
    ),
    E("the config, too", after("from alembic import context\nfrom alembic.context import config\n")),
    E(
        "with another context before it",
        after("import ssl\n\ncontext = ssl.create_default_context()\nctx = context\nfrom alembic import context\n"),
    ),
    E(
        "with another context beside it",
        after(
            "import ssl\n\nfrom alembic import context as alembic_context\n\ncontext = ssl.create_default_context()\n",
            "alembic_context",
        ),
    ),
    E("with another context after it", after("from alembic import context as _context\n\ncontext = _context\n")),
    E(
        "a connection before it",
        'import os\n\nfrom sqlalchemy import create_engine, pool, text\n\nwith create_engine(os.environ["DATABASE_URL"]).connect() as early:\n'
        f'    early.execute(text("SELECT 1"))\n\nfrom alembic import context\n{body()}',
        "either",
    ),
    E(
        "a module that connects before it",
        after("from app import early\nfrom alembic import context\n"),
        files={"app/__init__.py": "", "app/early.py": "from app.engine import engine\n\nengine.connect().close()\n"},
        runs=False,
    ),
    E(
        "a module that connects as a program",
        "from app.early import NAME\n" + after("from alembic import context"),
        files={
            "app/__init__.py": "",
            "app/early.py": "NAME = 1\n\nif __name__ == '__main__':\n    from app import engine\n\n    engine.connect()\n",
        },
    ),
    E(
        "a module that connects",
        after("from alembic import context\nfrom app import early\n"),
        files={
            "app/__init__.py": "",
            "app/early.py": "import os\nfrom sqlalchemy import create_engine, pool\nengine = create_engine(os.environ['DATABASE_URL'], poolclass=pool.NullPool)\nengine.connect().close()\n",
        },
    ),
]
NAMES = [
    E(
        "gate is a module of the project",
        after("from app import gate\nfrom alembic import context\n") + "\nassert gate.OPEN\n",
        files={"app/__init__.py": "", "app/gate.py": "OPEN = True\n"},
    ),
    E(
        "gate is a module that is imported later",
        after("from alembic import context\nfrom app import gate\n") + "\nassert gate.OPEN\n",
        files={"app/__init__.py": "", "app/gate.py": "OPEN = True\n"},
    ),
    E(
        "gate is a function",
        after("from alembic import context\n\n\ndef gate(name):\n    return name != 'spatial_ref_sys'\n")
        + "\nassert gate('customers')\n",
    ),
    E("gate is a variable", after("from alembic import context\n\ngate = 'open'\n") + "\nassert gate == 'open'\n"),
    E(
        "gate is global in a function",
        after("from alembic import context\n\n\ndef load():\n    global gate\n    gate = 'open'\n\n\nload()\n")
        + "\nassert gate == 'open'\n",
    ),
    E(
        "gate is an argument",
        after("from alembic import context\n\n\ndef include_object(object, name, gate, *rest):\n    return gate\n"),
    ),
    E(
        "gate and dbkit_gate are taken",
        after("from alembic import context\n\ngate = dbkit_gate = 1\n") + "\nassert gate == dbkit_gate == 1\n",
    ),
    E(
        "gate is a name in a loop",
        after("from alembic import context\n\nfor gate in ('a', 'b'):\n    pass\n") + "\nassert gate == 'b'\n",
    ),
    E("a variable dbkit", after("from alembic import context\n\ndbkit = 'a name'\n") + "\nassert dbkit == 'a name'\n"),
    E(
        "an import in a docstring",
        after(
            '"""How it works.\n\nfrom alembic import context\ncontext.configure(...)\n\nfrom dbkit import gate\ngate.install(context)\n"""\nfrom alembic import context\n'
        ),
    ),
    E(
        "an import in a comment",
        after(
            "# from alembic import context\n# from dbkit import gate; gate.install(context)\nfrom alembic import context  # gate.install(context)\n"
        ),
    ),
    E(
        "an import in a text",
        after(
            "import textwrap\n\nTEXT = textwrap.dedent('''\nfrom alembic import context\n''')\nfrom alembic import context\n"
        ),
    ),
    E("# dbkit comments", after("# dbkit: begin\n# dbkit: end\nfrom alembic import context\n")),
]
BYTES = [
    E("CRLF", PLAIN.replace("\n", "\r\n")),
    E("a byte-order mark", b"\xef\xbb\xbf" + PLAIN.encode()),
    E("a byte-order mark and CRLF", b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode()),
    E("latin-1", ("# -*- coding: latin-1 -*-\n# für\nNAME = 'Größe'\n" + PLAIN).encode("latin-1")),
    E(
        "latin-1, and CRLF",
        (
            "#!/usr/bin/env python\r\n# vim: set fileencoding=iso-8859-15 :\r\n# für 5 €\r\n"
            + PLAIN.replace("\n", "\r\n")
        ).encode("iso-8859-15"),
    ),
    E("cp1251", ("# coding: cp1251\n# миграции\n" + PLAIN).encode("cp1251")),
    E("UTF-8 before the import", "# миграции: überall 🚪\nNAME = 'é'; " + PLAIN),
    E("no newline at the end", PLAIN.rstrip("\n")),
    E(
        "nothing after the import",
        "from pkg import alembic_env\nfrom alembic import context; alembic_env.run_shared_migrations(context)",
        "either",
        files=WRAPPED,
    ),
    E("form feeds", "import sys\n\x0c\nimport io\n\x0c\n" + PLAIN),
    E("separators that Python takes for no newline", 'A = "a\u2028b\u2029c\x85d"\n# \x1c\x1d \x0b\n' + PLAIN),
    E("both ends of lines", PLAIN.replace("\n", "\r\n", 6)),
    E("tabs", PLAIN.replace("    ", "\t")),
    E("two spaces, and blank lines at the end", PLAIN.replace("    ", "  ") + "\n\n   \n\n"),
    E("spaces behind the import", PLAIN.replace("import context\n", "import context   \t\n")),
    E("a comment behind the import", PLAIN.replace("import context\n", "import context  # noqa: E402, isort:skip\n")),
    E("a Python script", "#!/usr/bin/env python3\n# Copyright the team\n#\n# All rights reserved.\n\n" + PLAIN),
    E("one line break after another", "\n\n\n" + PLAIN.replace("\n", "\n\n")),
    E(
        "a long file",
        "import sys\n" + "".join(f"# line {number}\nx{number} = {number}\n" for number in range(3000)) + PLAIN,
    ),
]
GATE = "from dbkit import gate\n\ngate.install(context)\n"
KEPT = [
    E("the gate as documented", PLAIN.replace("import context\n", f"import context\n\n{GATE}"), "kept"),
    E("the gate at the end of the imports", PLAIN.replace(IMPORTS, f"{IMPORTS}\n{GATE}"), "kept"),
    E("the gate with a comment", PLAIN.replace(IMPORTS, f"{IMPORTS}\n# one gate for all\n{GATE}"), "kept"),
    E("its function", PLAIN.replace(IMPORTS, f"{IMPORTS}from dbkit.gate import install\n\ninstall(context)\n"), "kept"),
    E(
        "its function, renamed",
        PLAIN.replace(IMPORTS, f"{IMPORTS}from dbkit.gate import install as install_gate\n\ninstall_gate(context)\n"),
        "kept",
    ),
    E("its package", PLAIN.replace(IMPORTS, f"{IMPORTS}import dbkit.gate\n\ndbkit.gate.install(context)\n"), "kept"),
    E(
        "the gate, renamed",
        PLAIN.replace(IMPORTS, f"{IMPORTS}from dbkit import gate as g\n\ng.install(context)\n"),
        "kept",
    ),
    E(
        "the gate, unless a variable is set",
        PLAIN.replace(
            IMPORTS,
            f"{IMPORTS}from dbkit import gate\n\nif not os.environ.get('NO_GATE'):\n    gate.install(context)\n",
        ),
        "kept",
    ),
    E(
        "gate.run",
        "from pathlib import Path\n\nfrom alembic import context\n\nfrom dbkit import gate\n\ngate.run(context, root=Path(__file__).resolve().parents[1], load_metadata=lambda: None)\n",
        "kept",
        runs=False,
    ),
    E("the import of the gate alone", PLAIN.replace(IMPORTS, f"{IMPORTS}from dbkit import gate\n"), "either"),
]
REFUSED = [
    E("Python 2", PLAIN + "print 'done'\n", "refused", runs=False),
    E("nothing", "", "refused", runs=False),
    E("a comment", "# to be written\n", "refused", runs=False),
    E(
        "a stub",
        '"""All of it is in the package."""\n\nfrom pkg.alembic_env import run_shared_migrations\n\nrun_shared_migrations()\n',
        "refused",
        files=WRAPPED,
        runs=False,
    ),
    E(
        "a stub with a class",
        "from pkg.alembic_env import AlembicEnvBase\n\nalembicEnv = AlembicEnvBase(None)\nalembicEnv.run()\n",
        "refused",
        files=WRAPPED,
        runs=False,
    ),
    E("a stub with a star", "from pkg.alembic_env import *\n", "refused", files=WRAPPED, runs=False),
    E(
        "another file that is executed",
        "from importlib import util\nfrom pathlib import Path\n\nspec = util.spec_from_file_location('shared', Path(__file__).parents[1] / 'shared/env.py')\n"
        "module = util.module_from_spec(spec)\nspec.loader.exec_module(module)\n",
        "refused",
        files={"shared/env.py": PLAIN},
        runs=False,
    ),
    E(
        "only op",
        "from alembic import op\n\nfrom pkg.alembic_env import run_shared_migrations\n\nrun_shared_migrations()\n",
        "refused",
        files=WRAPPED,
        runs=False,
    ),
    E(
        "another context",
        "from decimal import Context as context\nfrom contextlib import *\n\nimport pkg\n",
        "refused",
        files=WRAPPED,
        runs=False,
    ),
    E(
        "the context of another package",
        "from myframework import context\n\ncontext.configure()\n",
        "refused",
        runs=False,
    ),
    E(
        "for types only",
        "from __future__ import annotations\n\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from alembic import context\n\nfrom pkg.alembic_env import run_shared_migrations\n\nrun_shared_migrations()\n",
        "refused",
        files=WRAPPED,
        runs=False,
    ),
    E("indentation that is lost", "\n".join(line.strip() for line in PLAIN.splitlines()) + "\n", "refused", runs=False),
    E(
        "conflict markers",
        PLAIN.replace(IMPORTS, f"<<<<<<< HEAD\n{IMPORTS}=======\n{IMPORTS}>>>>>>> branch\n"),
        "refused",
        runs=False,
    ),
    E(
        "a template",
        PLAIN.replace(IMPORTS, "from {{ cookiecutter.slug }}.models import Base\n" + IMPORTS),
        "refused",
        runs=False,
    ),
    E("a NUL byte", PLAIN.replace(IMPORTS, f"{IMPORTS}# \0\n"), "refused", runs=False),
    E("UTF-16", PLAIN.encode("utf-16"), "refused", runs=False),
    E("latin-1 without a cookie", ("NAME = 'für'\n" + PLAIN).encode("latin-1"), "refused", runs=False),
    E("an unknown coding", "# coding: klingon\n" + PLAIN, "refused", runs=False),
]
FORMS = [*IMPORTED, *NAMES, *BYTES, *KEPT, *REFUSED]
