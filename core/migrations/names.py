"""What the migrations call things in the database."""

HEAD = "0027"
"""The newest step. It stands here so that a start with nothing to do needs no Alembic, 0.3 s of imports."""
VERSION_TABLE = "alembic_version"
SCHEMA = "boring"
APPLICATION_ROLE = "boring_app"
"""Who reads and writes what belongs to tenants: no superuser, so that row-level security holds."""
