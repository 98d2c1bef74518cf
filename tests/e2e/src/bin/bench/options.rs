//! What the command line asks for.

use std::path::PathBuf;

pub const USAGE: &str = "bench [--only NAME[,NAME]] [--quick] [--minutes N] [--json PATH]

  --only NAME[,NAME]  these figures alone
  --quick             small sizes and few rounds: to try it out, not to quote
  --minutes N         how long the soak takes; 10 unless told otherwise
  --json PATH         where the figures are written; target/bench.json unless told otherwise";

pub struct Options {
    only: Vec<String>,
    pub quick: bool,
    pub minutes: u32,
    pub json: PathBuf,
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            quick: false,
            minutes: 10,
            json: PathBuf::from("target/bench.json"),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--quick" => options.quick = true,
                "--minutes" => {
                    let minutes = value()?.parse().ok().filter(|minutes| *minutes > 0);
                    options.minutes = minutes.ok_or("--minutes wants a number above 0")?;
                }
                "--json" => options.json = value()?.into(),
                _ => return Err(format!("unknown argument: {argument}")),
            }
        }
        match options.only.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("no such figure: {name}")),
            None => Ok(options),
        }
    }

    /// Whether a figure is to be measured; some are `on_request` alone.
    pub fn wants(&self, figure: &str, on_request: bool) -> bool {
        if self.only.is_empty() {
            !on_request
        } else {
            self.only.iter().any(|name| name == figure)
        }
    }

    /// The size of something: in full, or for a quick try.
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned), &["idle", "plans"])
    }

    #[test]
    fn everything_is_wanted_unless_something_is_named() {
        assert!(parse("").unwrap().wants("plans", false));
        let options = parse("--only idle --quick").unwrap();
        assert!(options.wants("idle", false) && !options.wants("plans", false));
        assert_eq!(options.size(3, 1), 1);
    }

    #[test]
    fn what_is_measured_on_request_must_be_named() {
        assert!(!parse("").unwrap().wants("plans", true));
        assert!(parse("--only plans").unwrap().wants("plans", true));
    }

    #[test]
    fn a_soak_takes_a_while() {
        assert_eq!(parse("").unwrap().minutes, 10);
        assert_eq!(parse("--minutes 3").unwrap().minutes, 3);
        assert!(parse("--minutes 0").is_err() && parse("--minutes ten").is_err());
    }

    #[test]
    fn a_misspelt_figure_is_refused() {
        assert_eq!(parse("--only idel").err().unwrap(), "no such figure: idel");
        assert_eq!(parse("--fast").err().unwrap(), "unknown argument: --fast");
    }
}
