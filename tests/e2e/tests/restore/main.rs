//! Stories of copies: a dump keeps every row, and no copy of a database calls anybody until somebody says that it shall.

mod auditor;
mod dump;
mod people;
mod recovery;
mod stage;
mod upgrade;
