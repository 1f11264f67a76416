# SQLite: a table with an index in a file, a join, an aggregate over floating point.
rm -f db
check sqlite '434|61900.1429|1b0e' "$(sqlite3 db "
    CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, v REAL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
        INSERT INTO t SELECT i, printf('%x', i * 7919 % 10007), i / 7.0 FROM n;
    CREATE INDEX x ON t(name);
    SELECT count(*), round(sum(v), 4), (SELECT name FROM t ORDER BY v DESC LIMIT 1) FROM t WHERE name > '8'")"
