//! The receiver's thread: accepts, spawns one task per connection, and obeys commands about the listening itself.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::shared::Shared;
use crate::port;

const BACKLOG: u32 = 1024;

#[derive(Debug, Clone, Copy)]
pub(super) enum Command {
    /// Refuse new connections, keep the open ones.
    Pause,
    /// Refuse new connections, close the open ones.
    Stop,
    /// Listen again.
    Listen,
    /// End the thread.
    End,
}

/// A command and where to say that it has been carried out.
pub(super) type Order = (Command, std_mpsc::Sender<()>);

/// Starts the thread on a socket that is bound already.
pub(super) fn spawn(
    socket: TcpSocket,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
) -> JoinHandle<()> {
    thread::Builder::new()
        .name("receiver".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime
                .block_on(run(socket, shared, orders))
                .expect("the receiver's socket");
        })
        .expect("a thread for the receiver")
}

/// The port is held all the time: by a listener, or by a socket that is bound and refuses.
enum Door {
    Open(TcpListener),
    Shut(TcpSocket),
}

async fn run(
    socket: TcpSocket,
    shared: Arc<Shared>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> io::Result<()> {
    let address = socket.local_addr()?;
    let mut connections = JoinSet::new();
    let mut door = Door::Open(socket.listen(BACKLOG)?);
    loop {
        tokio::select! {
            accepted = accept(&door) => {
                // A sender that has gone again before it was accepted is nobody's trouble.
                if let Ok(stream) = accepted {
                    connections.spawn(Connection::new(stream, shared.clone()).serve());
                }
            }
            // Reaps what has ended; the set would only grow otherwise.
            Some(_) = connections.join_next() => {}
            order = orders.recv() => {
                let Some((command, done)) = order else { return Ok(()) };
                if let Command::Stop | Command::End = command {
                    connections.shutdown().await;
                }
                door = match command {
                    Command::Listen => open(door)?,
                    Command::Pause | Command::Stop | Command::End => shut(door, address)?,
                };
                let _ = done.send(());
                if let Command::End = command {
                    return Ok(());
                }
            }
        }
    }
}

async fn accept(door: &Door) -> io::Result<TcpStream> {
    match door {
        Door::Open(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are single writes: nothing is gained by holding them back.
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        Door::Shut(_) => std::future::pending().await,
    }
}

fn open(door: Door) -> io::Result<Door> {
    match door {
        Door::Shut(socket) => Ok(Door::Open(socket.listen(BACKLOG)?)),
        open => Ok(open),
    }
}

fn shut(door: Door, address: SocketAddr) -> io::Result<Door> {
    match door {
        Door::Open(listener) => {
            drop(listener);
            Ok(Door::Shut(port::bind_again(address)?))
        }
        shut => Ok(shut),
    }
}
