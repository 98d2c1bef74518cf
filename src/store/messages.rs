//! Messages that the database itself carries: NOTIFY, and `realtime.messages` where Supabase is.

use pgrx::pg_sys::{BOOLOID, TEXTARRAYOID, TEXTOID, UUIDOID};

use crate::pg::roles;
use crate::pg::spi::{Arg, Session, Statement};

/// Sends notifications on their channels, at commit.
pub(crate) fn notify(session: &Session, channels: &[Option<String>], messages: &[Option<String>]) {
    static NOTIFY: Statement = Statement::new(
        c"SELECT pg_catalog.pg_notify(u.channel, u.message) FROM unnest($1, $2) AS u (channel, message)",
        &[TEXTARRAYOID, TEXTARRAYOID],
    );
    session.run(&NOTIFY, &[Arg::TextArray(channels), Arg::TextArray(messages)], 0);
}

/// Owner of `realtime.messages`; `None` where it is not there with the columns a broadcast needs.
pub(crate) fn realtime_owner(session: &Session) -> Option<u32> {
    static OWNER: Statement = Statement::new(
        c"SELECT c.relowner FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
           WHERE n.nspname OPERATOR(pg_catalog.=) 'realtime' AND c.relname OPERATOR(pg_catalog.=) 'messages'
             AND c.relkind IN ('r', 'p')
             AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND NOT a.attisdropped
                     AND a.attname IN ('id', 'topic', 'event', 'payload', 'private', 'extension'))
                 OPERATOR(pg_catalog.=) 6",
        &[],
    );
    let rows = session.run(&OWNER, &[], 1);
    rows.first()
        .and_then(|row| row.datum(1))
        .map(|owner| owner.value() as u32)
}

/// A broadcast of Supabase Realtime.
pub(crate) struct Broadcast<'a> {
    pub(crate) id: &'a [u8; 16],
    pub(crate) topic: &'a str,
    pub(crate) event: &'a str,
    /// JSON text.
    pub(crate) payload: &'a str,
    pub(crate) private: bool,
}

/// Writes a broadcast with the rights of the table's owner and no more: its triggers are not ours.
///
/// Not by `realtime.send`, which turns every error into a warning.
pub(crate) fn broadcast(session: &Session, owner: u32, message: &Broadcast<'_>) {
    static TOPIC: Statement = Statement::new(
        c"SELECT pg_catalog.set_config('realtime.topic', $1, true)",
        &[TEXTOID],
    );
    static INSERT: Statement = Statement::new(
        c"INSERT INTO realtime.messages (id, topic, event, payload, private, extension)
          SELECT $1, $2, $3,
                 CASE pg_catalog.jsonb_typeof(p.payload) WHEN 'object'
                      THEN pg_catalog.jsonb_build_object('id', $1) OPERATOR(pg_catalog.||) p.payload
                      ELSE pg_catalog.jsonb_build_object('id', $1, 'data', p.payload) END,
                 $5, 'broadcast'
            FROM (SELECT $4::pg_catalog.jsonb) AS p (payload)",
        &[UUIDOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID],
    );
    session.run(&TOPIC, &[Arg::Text(message.topic)], 0);
    roles::restricted_to(owner, || {
        session.run(
            &INSERT,
            &[
                Arg::Uuid(message.id),
                Arg::Text(message.topic),
                Arg::Text(message.event),
                Arg::Text(message.payload),
                Arg::Bool(message.private),
            ],
            0,
        );
    });
}
