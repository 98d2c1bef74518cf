//! The plain way to deliver an outbox, to compare with: a program beside the server that claims a batch with SKIP LOCKED,
//! sends it over 32 kept connections, marks it and commits. Nothing is tuned against it: statements are prepared, the index
//! is the one tms uses, the commit does not wait for the disk, and it never has to wait for work.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Statement};
use uuid::Uuid;

use crate::ground::{DB, Ground};
use crate::receiving::read_answer;

const CONNECTIONS: usize = 32;
const BATCH: i64 = 500;
const CLAIM: &str = "SELECT id, payload::text FROM tms.event_outbox \
     WHERE target_system = 'n8n' AND company_id IS NULL AND processed_at IS NULL AND available_at <= now() \
     ORDER BY target_system, company_id, priority, available_at, seq LIMIT $1 FOR UPDATE SKIP LOCKED";
const MARK: &str = "UPDATE tms.event_outbox SET processed_at = now(), updated_at = now() WHERE id = ANY ($1)";

pub struct PollLoop {
    client: Client,
    claim: Statement,
    mark: Statement,
    connections: Vec<BufReader<TcpStream>>,
}

impl PollLoop {
    pub fn to(ground: &Ground) -> Self {
        let mut client = ground.cluster.client(DB);
        // Without statistics the planner would sort the whole queue for each batch; that would be an unfair comparison.
        client
            .batch_execute("SET synchronous_commit = off; SET enable_sort = off; SET enable_seqscan = off; SET enable_bitmapscan = off")
            .expect("settings of the poll loop");
        let connections = (0..CONNECTIONS)
            .map(|_| {
                let stream = TcpStream::connect(ground.receiver.address()).expect("a connection");
                stream.set_nodelay(true).expect("TCP_NODELAY");
                BufReader::new(stream)
            })
            .collect();
        Self {
            claim: client.prepare(CLAIM).expect("the claim"),
            mark: client.prepare(MARK).expect("the mark"),
            client,
            connections,
        }
    }

    /// Delivers so many events.
    pub fn deliver(mut self, events: usize) -> Duration {
        let began = Instant::now();
        let mut delivered = 0;
        while delivered < events {
            let mut transaction = self.client.transaction().expect("BEGIN");
            let rows = transaction.query(&self.claim, &[&BATCH]).expect("the claim");
            assert!(!rows.is_empty(), "the queue ended after {delivered} events");
            let claimed: Vec<(Uuid, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            send(&mut self.connections, &claimed);
            let ids: Vec<Uuid> = claimed.iter().map(|(id, _)| *id).collect();
            transaction.execute(&self.mark, &[&ids]).expect("the mark");
            transaction.commit().expect("COMMIT");
            delivered += ids.len();
        }
        began.elapsed()
    }
}

/// Each connection sends its share, one request after the other.
fn send(connections: &mut [BufReader<TcpStream>], events: &[(Uuid, String)]) {
    let share = events.len().div_ceil(connections.len());
    thread::scope(|scope| {
        for (connection, events) in connections.iter_mut().zip(events.chunks(share)) {
            scope.spawn(move || {
                for (id, body) in events {
                    post(connection, id, body);
                }
            });
        }
    });
}

fn post(connection: &mut BufReader<TcpStream>, id: &Uuid, body: &str) {
    let request = format!(
        "POST /hook HTTP/1.1\r\nhost: bench\r\nwebhook-id: {id}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection
        .get_mut()
        .write_all(request.as_bytes())
        .expect("a request");
    read_answer(connection).expect("an answer");
}
