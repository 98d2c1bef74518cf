//! What was measured and what was claimed, collected act by act and shown at the end.

use crate::screen;

/// Figures for the summary, and whether every claim held.
#[derive(Default)]
pub struct Report {
    figures: Vec<(String, String)>,
    broken: Vec<String>,
}

impl Report {
    /// A measured value for the summary.
    pub fn figure(&mut self, name: &str, value: impl Into<String>) {
        self.figures.push((name.to_owned(), value.into()));
    }

    /// Something that must be so: printed at once, remembered if it is not.
    pub fn claim(&mut self, claim: impl Into<String>, held: bool) {
        let claim = claim.into();
        println!("  [{}] {claim}", if held { "ok" } else { "NOT SO" });
        if !held {
            self.broken.push(claim);
        }
    }

    /// Prints every figure.
    pub fn summarise(&self) {
        screen::heading("Summary: everything below was measured in this run");
        let rows: Vec<Vec<String>> = self
            .figures
            .iter()
            .map(|(name, value)| vec![name.clone(), value.clone()])
            .collect();
        screen::table(&["what", "measured"], &rows);
    }

    /// Claims that did not hold.
    pub fn broken(&self) -> &[String] {
        &self.broken
    }
}
