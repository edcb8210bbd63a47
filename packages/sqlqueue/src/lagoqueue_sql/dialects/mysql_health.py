"""What can go wrong in MySQL and MariaDB: a transaction that stays open keeps InnoDB from purging."""

from __future__ import annotations

from lagoqueue.monitor import HealthCheck
from lagoqueue_sql.health import OPEN_LONG, OPEN_TOO_LONG, Check, spoken
from lagoqueue_sql.link import Link
from lagoqueue_sql.statements_looking import LookingStatements

# MariaDB shows nothing to whoever may not see it, and MySQL refuses; each shows its own privileges to everybody.
_MAY_SEE = "SELECT count(*) FROM information_schema.user_privileges WHERE privilege_type = 'PROCESS'"

_OLDEST = """
    SELECT trx.trx_mysql_thread_id, list.user, TIMESTAMPDIFF(SECOND, trx.trx_started, NOW())
    FROM information_schema.innodb_trx AS trx
    LEFT JOIN information_schema.processlist AS list ON list.id = trx.trx_mysql_thread_id
    WHERE trx.trx_mysql_thread_id > 0 AND trx.trx_mysql_thread_id <> CONNECTION_ID()
    ORDER BY trx.trx_started LIMIT 1"""


def _oldest_transaction(link: Link, sql: LookingStatements, own: int) -> HealthCheck:
    name = OLDEST_TRANSACTION.name
    if not link.rows(_MAY_SEE, {})[0][0]:
        return HealthCheck(
            name,
            "warn",
            "This user may not see other transactions, so one that stays open would go unnoticed.",
            "Have an administrator run GRANT PROCESS ON *.* TO this user.",
        )
    rows = link.rows(_OLDEST, {})
    if not rows:
        return HealthCheck(name, "good", "No transaction is open.")
    thread, user, seconds = rows[0]
    who = f"thread {thread}, user {user}" if user else f"thread {thread}"
    if seconds < OPEN_LONG:
        return HealthCheck(name, "good", f"The oldest transaction ({who}) has been open for {spoken(seconds)}.")
    return HealthCheck(
        name,
        "warn" if seconds < OPEN_TOO_LONG else "bad",
        f"A transaction ({who}) has been open for {spoken(seconds)}, and no row that was deleted since can be purged.",
        f"Commit it or roll it back; KILL {thread} ends its session.",
    )


OLDEST_TRANSACTION = Check("Oldest transaction", _oldest_transaction)

CHECKS = (OLDEST_TRANSACTION,)
