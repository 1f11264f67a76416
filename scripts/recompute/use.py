"""Questions 1 and 2 of the report (docs/report.md) in SQL: how many windows use the registers, and what the last one says of
the next."""

from pathlib import Path

import duckdb

# One row per window of a kind: vCPU, the row that ends it, use, and what went before, of those that end in the rows that are asked about. A load
# window runs from a row that was loaded to the next that was put; one that is not put by the end of the record is none. A
# window is work if the row that ends it is; in the report that is the work of its own VM. The window before one of work is one of the vCPU's, of work or not.
WINDOWS = """
WITH all_rows AS (
    SELECT vm, vcpu, file_row_number AS row, loaded, put, fp_used AS used, mark
    FROM read_parquet($file, file_row_number = true)
), marks AS (
    SELECT vm, min(row) AS last_of_boot FROM all_rows WHERE mark GROUP BY vm
), numbered AS (
    SELECT *, sum(loaded::INT) OVER (PARTITION BY vcpu ORDER BY row) AS number FROM all_rows
), whole AS (
    SELECT vm, vcpu, row, used FROM all_rows WHERE $kind = 'entry'
    UNION ALL
    SELECT vm, vcpu, max(row) AS row, bool_or(used) AS used FROM numbered WHERE $kind = 'load' AND number > 0
    GROUP BY vm, vcpu, number HAVING bool_or(put)
), followed AS (
    SELECT *, lag(used) OVER (PARTITION BY vcpu ORDER BY row) AS before FROM whole
), windows AS (
    SELECT vcpu, used, before FROM followed LEFT JOIN marks USING (vm)
    WHERE row BETWEEN $first AND $last AND ($together OR row > coalesce(last_of_boot, -1))
)
"""

SHARES = """
SELECT
    (SELECT count(*) FROM windows) AS windows,
    (SELECT count(*) FROM windows WHERE used) AS used,
    (SELECT count(*) FILTER (used) / nullif(count(*), 0) FROM windows WHERE before) AS use_after_use,
    (SELECT count(*) FILTER (used) / nullif(count(*), 0) FROM windows WHERE NOT before) AS use_after_none,
    (SELECT count(*) FILTER (used = before) / nullif(count(*), 0) FROM windows WHERE before IS NOT NULL) AS accuracy,
    (SELECT sum(most) / (SELECT count(*) FROM windows) FROM (
        SELECT greatest(count(*) FILTER (used), count(*) FILTER (NOT used)) AS most FROM windows GROUP BY vcpu
    )) AS majority
"""


def shares(record: Path, kind: str, rows: range, together: bool = True) -> dict[str, float | int | None]:
    """How many windows of a kind end in some rows, how many of them used the registers, and how the last one forecasts. Unless
    all VMs are looked at `together`, those of each VM begin behind its own first mark."""
    asked = {"file": str(record), "kind": kind, "first": rows.start, "last": rows.stop - 1, "together": together}
    result = duckdb.execute(WINDOWS + SHARES, asked)
    return dict(zip([column[0] for column in result.description], result.fetchone()))
