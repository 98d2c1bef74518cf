//! What is printed: headings, tables, and a line that moves while something goes on.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is wider than this.
pub const WIDTH: usize = 100;

/// The heading of an act.
pub fn heading(text: &str) {
    println!("\n{text}\n{}", "-".repeat(text.len()));
}

/// `12,345`.
pub fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(0).to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `0.42 ms`, or `1.30 s` from a second on.
pub fn millis(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        return seconds(time);
    }
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

/// `2.35 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Rows in columns as wide as they need to be; what would be wider than the screen is cut.
pub fn table(head: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let widest = rows.iter().map(|row| row[column].chars().count()).max();
            widest.unwrap_or(0).max(name.len())
        })
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let line = format!("  {}", padded.join("  "));
        println!("{}", line.chars().take(WIDTH).collect::<String>().trim_end());
    };
    line(&head.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
}

/// A line that shows how far something is: rewritten in place on a terminal, once a second elsewhere.
pub struct Live {
    terminal: bool,
    shown: Instant,
}

impl Live {
    pub fn start() -> Self {
        Self {
            terminal: io::stdout().is_terminal(),
            shown: Instant::now(),
        }
    }

    /// Shows where things are, unless it was shown a moment ago.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        let pause = if self.terminal { 100 } else { 1_000 };
        if self.shown.elapsed() >= Duration::from_millis(pause) {
            self.shown = Instant::now();
            self.print(&text(), false);
        }
    }

    /// Shows where things ended.
    pub fn finish(self, text: &str) {
        self.print(text, true);
    }

    fn print(&self, text: &str, last: bool) {
        if self.terminal {
            print!("\r{text:<width$}", width = WIDTH - 1);
            if last {
                println!();
            }
            // Progress that cannot be shown is no reason to stop.
            let _ = io::stdout().flush();
        } else {
            println!("{text}");
        }
    }
}
