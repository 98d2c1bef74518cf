//! What the command line asks for.

use std::path::PathBuf;

pub const USAGE: &str = "bench [--only NAME[,NAME]] [--quick] [--json PATH]

  --only NAME[,NAME]  these figures alone
  --quick             small sizes and few rounds: to try it out, not to quote
  --json PATH         where the figures are written; target/bench.json unless told otherwise";

pub struct Options {
    only: Vec<String>,
    pub quick: bool,
    pub json: PathBuf,
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            quick: false,
            json: PathBuf::from("target/bench.json"),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--quick" => options.quick = true,
                "--json" => options.json = value()?.into(),
                _ => return Err(format!("unknown argument: {argument}")),
            }
        }
        match options.only.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(format!("no such figure: {name}")),
            None => Ok(options),
        }
    }

    pub fn wants(&self, figure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == figure)
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
        assert!(parse("").unwrap().wants("plans"));
        let options = parse("--only idle --quick").unwrap();
        assert!(options.wants("idle") && !options.wants("plans"));
        assert_eq!(options.size(3, 1), 1);
    }

    #[test]
    fn a_misspelt_figure_is_refused() {
        assert_eq!(parse("--only idel").err().unwrap(), "no such figure: idel");
        assert_eq!(parse("--fast").err().unwrap(), "unknown argument: --fast");
    }
}
