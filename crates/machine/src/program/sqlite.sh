# SQLite: a table with an index in a file, an aggregate over floating point, a search by the index and without it.
rm -f db
first=$((seed % 1000)) last=$((seed % 1000 + $(about 2000)))
check sqlite "$(((first + last) * (last - first + 1) / 2)).0|1" "$(sqlite3 db "
    CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, v REAL);
    WITH RECURSIVE n(i) AS (SELECT $first UNION ALL SELECT i + 1 FROM n WHERE i < $last)
        INSERT INTO t SELECT i, printf('%x', i * 7919 % 10007), i / 7.0 FROM n;
    CREATE INDEX x ON t(name);
    SELECT round(7 * sum(v), 1), (SELECT round(sum(v), 4) FROM t WHERE name > '8')
        = (SELECT round(sum(v), 4) FROM t NOT INDEXED WHERE name > '8') FROM t")"
