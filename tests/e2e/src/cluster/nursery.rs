//! One thread that starts every server.
//!
//! The kernel's parent-death signal is sent when the *thread* that started a process ends. A test's thread ends with
//! its test, while a cluster may be shared by many; this thread ends with the process, however that ends.

use std::io;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::thread;

type Order = (Command, mpsc::Sender<io::Result<Child>>);

pub(super) fn spawn(command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = NURSERY.get_or_init(open);
    let (answer, child) = mpsc::channel();
    orders.send((command, answer)).expect("the nursery is open");
    child.recv().expect("the nursery answers")
}

fn open() -> mpsc::Sender<Order> {
    let (orders, inbox) = mpsc::channel::<Order>();
    thread::Builder::new()
        .name("nursery".into())
        .spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        })
        .expect("a thread for the nursery");
    orders
}
