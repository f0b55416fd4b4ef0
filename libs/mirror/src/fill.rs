//! Makes a copy anew, beside the one that readers see, and puts it in its place: all in one transaction.

use std::time::Duration;

use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::copy::{Part, Pieces};
use crate::plan::Known;
use crate::readable;
use crate::schema::Filled;
use crate::session::{End, Session, within};
use crate::table::quoted;

/// How long others may be kept waiting behind us for readers of a table that is to go; and how long we then make way. Less than
/// the second after which PostgreSQL looks who waits for whom: it would be a reader who is sent away.
const LOCK_MAX: &str = "200ms";
const WAY: Duration = Duration::from_millis(500);

/// INVARIANT: whoever reads sees the copy as it was until all of the new one is there.
pub(crate) async fn fill(session: Session<'_>, part: &Part, to: &Known, pieces: &mut Pieces) -> Result<(), End> {
    let (began, schema) = (Instant::now(), &session.schema.name);
    let mut count = 0;
    session.begin().await?;
    for table in &part.tables {
        session.execute(&table.create(schema, &table.new_name())).await?;
    }
    while let Some(rows) = pieces.next().await? {
        count += rows.present_count;
        let table = &part.tables[rows.table];
        session.run(table.insert(session.link, schema, &table.new_name(), &rows)).await?;
    }
    for table in &part.tables {
        session.build(&table.add_key(schema, &table.new_name())).await?;
    }
    let readable = part.changes.copied().readable;
    let filled = Filled {
        view: part.name(),
        known: to,
        tables: part.tables.iter().map(|table| table.name.as_str()).collect(),
        views: readable::views(readable),
    };
    let (tables, views) = session.run(session.schema.filled(session.link, &filled)).await?;
    let gone = views.into_iter().filter(|view| !filled.views.contains(view)).collect();
    switch(session, part, tables, gone).await?;
    session.execute("COMMIT").await?;
    counter!("cairn_read_model_copy_fills_total", "view" => part.name()).increment(1);
    tracing::info!(view = part.name(), schema, rows = count, took = ?began.elapsed(), "the copy of a view was made anew");
    Ok(())
}

/// Puts the new tables in the place of the old ones, and makes what people read of them.
async fn switch(session: Session<'_>, part: &Part, old: Vec<String>, gone: Vec<String>) -> Result<(), End> {
    let schema = &session.schema.name;
    let old = existing(session, "r", &old).await?;
    let grants = grants(session, &old).await?;
    let views: Vec<String> = readable::views(part.changes.copied().readable).into_iter().chain(gone.clone()).collect();
    let views = existing(session, "v", &views).await?;
    lock(session, &[views, old.clone()].concat()).await?;
    for table in &old {
        let aside = quoted(&format!("{table}:old"));
        session.execute(&format!("ALTER TABLE {schema}.{} RENAME TO {aside}", quoted(table))).await?;
    }
    for table in &part.tables {
        let (new, name) = (quoted(&table.new_name()), quoted(&table.name));
        session.execute(&format!("ALTER TABLE {schema}.{new} RENAME TO {name}")).await?;
    }
    for view in &gone {
        session.execute(&format!("DROP VIEW IF EXISTS {schema}.{} CASCADE", quoted(view))).await?;
    }
    make_readable(session, part.changes.copied().readable).await?;
    for table in &old {
        let aside = quoted(&format!("{table}:old"));
        session.execute(&format!("DROP TABLE {schema}.{aside} CASCADE")).await?;
    }
    for (table, grant) in grants {
        // One that is no longer there has nothing to be granted.
        if part.tables.iter().any(|ours| ours.name == table) {
            session.execute(&grant).await?;
        }
    }
    Ok(())
}

/// Views are replaced, which keeps what others have built upon them. Where a view has other columns than before, that does not
/// go, and they are dropped first.
async fn make_readable(session: Session<'_>, sql: &str) -> Result<(), End> {
    let schema = &session.schema.name;
    session.execute(&format!("SET LOCAL search_path = {schema}, pg_catalog; SAVEPOINT readable")).await?;
    let replaced = run_all(session, sql).await;
    match replaced {
        Ok(()) => {}
        Err(_) if !session.link.is_closed() => {
            session.execute("ROLLBACK TO readable").await?;
            for view in readable::views(sql) {
                session.execute(&format!("DROP VIEW IF EXISTS {} CASCADE", quoted(&view))).await?;
            }
            run_all(session, sql).await?;
        }
        Err(end) => return Err(end),
    }
    session.execute("RELEASE readable").await
}

async fn run_all(session: Session<'_>, sql: &str) -> Result<(), End> {
    for statement in readable::statements(sql) {
        session.build(&statement).await?;
    }
    Ok(())
}

/// Waits for whoever reads the old tables and the views of them, without keeping anybody else waiting for long.
async fn lock(session: Session<'_>, tables: &[String]) -> Result<(), End> {
    if tables.is_empty() {
        return Ok(());
    }
    let schema = &session.schema.name;
    let all: Vec<String> = tables.iter().map(|table| format!("{schema}.{}", quoted(table))).collect();
    let sql = format!(
        "SAVEPOINT locked; SET LOCAL lock_timeout = '{LOCK_MAX}'; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; SET LOCAL lock_timeout = 0",
        all.join(", ")
    );
    let deadline = Instant::now() + session.limits.building_patience;
    loop {
        match session.link.batch_execute(&sql).await {
            Ok(()) => return Ok(()),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) && Instant::now() < deadline => {
                session.execute("ROLLBACK TO locked").await?;
                sleep(WAY).await;
            }
            Err(error) => return Err(End::failed(&error)),
        }
    }
}

/// Those of some names that are there, as a table or a view.
async fn existing(session: Session<'_>, kind: &str, names: &[String]) -> Result<Vec<String>, End> {
    let sql = "SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relkind = $3::text::\"char\" AND c.relname = ANY ($2) ORDER BY 1";
    let named: &cairn_postgres::Parameters<'_> =
        &[(&session.schema.name, Type::TEXT), (&names, Type::TEXT_ARRAY), (&kind, Type::TEXT)];
    within(session.limits.patience, async {
        session.link.query_typed(sql, named).await?.iter().map(|row| row.try_get(0)).collect()
    })
    .await
}

/// Who may do what with tables: with each, the statement that lets them do it again.
async fn grants(session: Session<'_>, tables: &[String]) -> Result<Vec<(String, String)>, End> {
    let sql = "SELECT c.relname::text, format('GRANT %s ON %I.%I TO %s', a.privilege_type, n.nspname, c.relname,
                   CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
               WHERE n.nspname = $1 AND c.relname = ANY ($2) AND a.grantee <> c.relowner";
    let named: &cairn_postgres::Parameters<'_> = &[(&session.schema.name, Type::TEXT), (&tables, Type::TEXT_ARRAY)];
    within(session.limits.patience, async {
        let found = session.link.query_typed(sql, named).await?;
        found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    })
    .await
}
