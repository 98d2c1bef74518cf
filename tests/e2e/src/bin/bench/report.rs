//! What was measured, what is required, and whether the one meets the other: as a table and as JSON.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tms_e2e::cluster::Installation;
use tms_e2e::latency::unix_micros;

use crate::numbers::{Spread, readable};
use crate::proc;

/// What is required of a number.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => f.pad(&format!(">= {}", readable(*bound))),
            Self::AtMost(bound) => f.pad(&format!("<= {}", readable(*bound))),
        }
    }
}

/// One number of a figure.
struct Line {
    what: String,
    value: f64,
    range: Option<(f64, f64)>,
    unit: &'static str,
    bound: Option<Bound>,
}

impl Line {
    fn verdict(&self) -> &'static str {
        match self.bound {
            None => "",
            Some(bound) if bound.met_by(self.value) => "ok",
            Some(_) => "BELOW",
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "what": self.what, "measured": self.value, "unit": self.unit,
            "least": self.range.map(|range| range.0), "greatest": self.range.map(|range| range.1),
            "required": self.bound.map(|bound| bound.to_string()),
            "ok": self.bound.map(|bound| bound.met_by(self.value)),
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = self.range.map_or(String::new(), |(least, greatest)| {
            format!("{} - {}", readable(least), readable(greatest))
        });
        let bound = self.bound.map_or(String::new(), |bound| bound.to_string());
        let line = format!(
            "  {:<64} {:>10} {:<9} {:<17} {:<10} {}",
            self.what,
            readable(self.value),
            self.unit,
            range,
            bound,
            self.verdict()
        );
        writeln!(f, "{}", line.trim_end())
    }
}

/// Numbers behind a figure, such as the CPU of each thread.
pub struct Detail {
    pub title: String,
    pub columns: Vec<&'static str>,
    pub rows: Vec<(String, Vec<f64>)>,
}

impl Detail {
    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, cells)| {
            let mut row = Map::new();
            row.insert("name".into(), json!(name));
            for (column, cell) in self.columns.iter().zip(cells) {
                row.insert((*column).into(), json!(cell));
            }
            Value::Object(row)
        });
        json!({ "title": self.title, "rows": rows.collect::<Vec<_>>() })
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "    {:<70}", self.title)?;
        for column in &self.columns {
            write!(f, "{column:>14}")?;
        }
        writeln!(f)?;
        for (name, cells) in &self.rows {
            write!(f, "      {name:<68}")?;
            for cell in cells {
                write!(f, "{:>14}", readable(*cell))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// One figure: its numbers, what is behind them, and under which conditions they came about.
pub struct Figure {
    name: &'static str,
    about: &'static str,
    lines: Vec<Line>,
    details: Vec<Detail>,
    notes: Vec<String>,
    pub failure: Option<String>,
    pub seconds: f64,
    /// Whether a number that is not what is required is a failure of the run.
    pub must_hold: bool,
}

impl Figure {
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            lines: Vec::new(),
            details: Vec::new(),
            notes: Vec::new(),
            failure: None,
            seconds: 0.0,
            must_hold: false,
        }
    }

    /// A number, and what is required of it if anything is.
    pub fn line(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bound: Option<Bound>) {
        self.lines.push(Line {
            what: what.into(),
            value,
            range: None,
            unit,
            bound,
        });
    }

    /// The median of several runs, with their range.
    pub fn spread(
        &mut self,
        what: impl Into<String>,
        runs: &[f64],
        unit: &'static str,
        bound: Option<Bound>,
    ) {
        let spread = Spread::of(runs);
        self.lines.push(Line {
            what: what.into(),
            value: spread.median,
            range: Some((spread.least, spread.greatest)),
            unit,
            bound,
        });
    }

    pub fn detail(&mut self, detail: Detail) {
        self.details.push(detail);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    fn is_well(&self) -> bool {
        let holds = |line: &Line| line.bound.is_none_or(|bound| bound.met_by(line.value));
        self.failure.is_none() && (!self.must_hold || self.lines.iter().all(holds))
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "about": self.about, "seconds": self.seconds, "failure": self.failure, "notes": self.notes,
            "lines": self.lines.iter().map(Line::to_json).collect::<Vec<_>>(),
            "details": self.details.iter().map(Detail::to_json).collect::<Vec<_>>(),
        })
    }

    fn write_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            write!(f, "{line}")?;
        }
        match &self.failure {
            Some(failure) => writeln!(f, "  NOT MEASURED: {failure}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}: {} ({:.0} s)", self.name, self.about, self.seconds)?;
        self.write_lines(f)?;
        for detail in &self.details {
            write!(f, "{detail}")?;
        }
        for note in &self.notes {
            writeln!(f, "  * {note}")?;
        }
        Ok(())
    }
}

/// All figures of one run, and where they were measured.
pub struct Report {
    pub figures: Vec<Figure>,
    server: String,
    cores: usize,
    load_before: f64,
    quick: bool,
    began: SystemTime,
}

impl Report {
    pub fn begin(quick: bool) -> Self {
        Self {
            figures: Vec::new(),
            server: server_version(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_before: proc::load_average(),
            quick,
            began: SystemTime::now(),
        }
    }

    /// Whether every figure could be measured, and is what it must be where that is said.
    pub fn is_well(&self) -> bool {
        self.figures.iter().all(Figure::is_well)
    }

    pub fn write(&self, path: &Path) {
        let report = json!({
            "began_unix_us": unix_micros(self.began),
            "server": self.server, "cores": self.cores, "load_before": self.load_before, "quick": self.quick,
            "figures": self.figures.iter().map(Figure::to_json).collect::<Vec<_>>(),
        });
        if let Some(parent) = path.parent() {
            let _ = fs::create_dir_all(parent);
        }
        let text = serde_json::to_string_pretty(&report).expect("a report is JSON");
        fs::write(path, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// `postgres (PostgreSQL) 15.14 ...`
fn server_version() -> String {
    let postgres = Installation::from_env().program("postgres");
    let output = Command::new(postgres)
        .arg("--version")
        .output()
        .expect("postgres --version");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n==== tms on {}, {} cores ====", self.server, self.cores)?;
        writeln!(
            f,
            "  {:<64} {:>10} {:<9} {:<17} {:<10}",
            "", "measured", "", "least - greatest", "required"
        )?;
        for figure in &self.figures {
            writeln!(f, "{}", figure.name)?;
            figure.write_lines(f)?;
        }
        if self.quick {
            writeln!(f, "  --quick: small sizes, few rounds; not to be quoted")?;
        }
        if self.load_before > 0.5 {
            writeln!(
                f,
                "  the machine was not quiet: load average {:.2} before the first figure",
                self.load_before
            )?;
        }
        Ok(())
    }
}
