"""An extension with the name and the catalog of Citus: it distributes nothing, and writes down what was asked for."""

import os
from pathlib import Path

from dbkit.postgres.cluster import Cluster

CONTROL = "comment = 'the catalog of Citus'\ndefault_version = '13.0-1'\nrelocatable = false\nschema = pg_catalog\n"
SCRIPT = r"""
CREATE SCHEMA citus;
CREATE TABLE citus.pg_dist_partition (
    logicalrelid regclass NOT NULL,
    partmethod "char" NOT NULL,
    partkey text,
    colocationid integer DEFAULT 0 NOT NULL,
    repmodel "char" DEFAULT 'c' NOT NULL,
    autoconverted boolean DEFAULT false NOT NULL
);
CREATE UNIQUE INDEX pg_dist_partition_logical_relid_index ON citus.pg_dist_partition (logicalrelid);
ALTER TABLE citus.pg_dist_partition SET SCHEMA pg_catalog;
CREATE TABLE citus.pg_dist_colocation (
    colocationid int NOT NULL PRIMARY KEY,
    shardcount int NOT NULL,
    replicationfactor int NOT NULL,
    distributioncolumntype oid NOT NULL,
    distributioncolumncollation oid NOT NULL
);
ALTER TABLE citus.pg_dist_colocation SET SCHEMA pg_catalog;
CREATE SEQUENCE citus.pg_dist_colocationid_seq;
ALTER SEQUENCE citus.pg_dist_colocationid_seq SET SCHEMA pg_catalog;
GRANT SELECT ON pg_catalog.pg_dist_partition, pg_catalog.pg_dist_colocation TO PUBLIC;

CREATE FUNCTION pg_catalog.create_distributed_table(
    table_name regclass, distribution_column text, colocate_with text DEFAULT 'default', shard_count int DEFAULT 32
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    place int;
    colocation int;
BEGIN
    SELECT attnum INTO STRICT place FROM pg_attribute WHERE attrelid = table_name AND attname = distribution_column;
    IF colocate_with NOT IN ('default', 'none') THEN
        SELECT colocationid INTO STRICT colocation FROM pg_dist_partition WHERE logicalrelid = colocate_with::regclass;
    ELSE
        colocation := nextval('pg_catalog.pg_dist_colocationid_seq');
        INSERT INTO pg_dist_colocation VALUES (colocation, shard_count, 1, 23, 0);
    END IF;
    INSERT INTO pg_dist_partition VALUES (table_name, 'h', '{VAR :varno 1 :varattno ' || place || ' :vartype 23 :vartypmod -1}',
        colocation, 's', false);
END $$;
CREATE FUNCTION pg_catalog.create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pg_dist_partition VALUES (table_name, 'n', NULL, 1000, 't', false);
END $$;
CREATE FUNCTION pg_catalog.undistribute_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM pg_dist_partition WHERE logicalrelid = table_name;
END $$;
"""


def install(cluster: Cluster, directory: Path) -> str:
    """Write the extension for a server. Returns the value of extension_control_path, which PostgreSQL 18 has."""
    place = directory / "extension"
    place.mkdir(parents=True)
    (place / "citus.control").write_text(CONTROL)
    (place / "citus--13.0-1.sql").write_text(SCRIPT)
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for path in directory.parents:
        if path != Path("/") and path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o011)
    return f"{directory}:$system"
