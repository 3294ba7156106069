"""Drafts of revisions: what the migrations make is compared with what the models make, and the difference is written.

Both are databases on a scratch cluster. `comparison` reads them, the writers turn the differences into operations of
Alembic, `render` turns these into the code of a revision file, and `proof` runs that file before it is shown.
"""
