//! Two ways of doing the same, measured in pairs next to each other and in turn first: the machine's mood is the same for both.

use crate::ground::Ground;
use crate::report::{Bound, Detail, Figure};

/// The two ways. Each is measured as something of which more is better.
pub struct Pair<'a> {
    /// What the line says.
    pub what: &'a str,
    /// Of the one in question, and of what it is held against.
    pub columns: [&'static str; 2],
    pub unit: &'a str,
    pub bound: Option<Bound>,
}

impl Pair<'_> {
    /// Measures so many pairs and states the first as a share of the second.
    pub fn measure(
        &self,
        ground: &mut Ground,
        figure: &mut Figure,
        pairs: usize,
        mut once: impl FnMut(&mut Ground, Way) -> f64,
    ) {
        let mut shares = Vec::new();
        let mut rows = Vec::new();
        for pair in 0..pairs {
            let mut measured = |way| {
                let value = once(ground, way);
                eprintln!("   {}: {value:.0} {}", self.columns[way as usize], self.unit);
                value
            };
            let (one, other) = if pair % 2 == 0 {
                let one = measured(Way::InQuestion);
                (one, measured(Way::Compared))
            } else {
                let other = measured(Way::Compared);
                (measured(Way::InQuestion), other)
            };
            let share = 100.0 * one / other;
            shares.push(share);
            rows.push((format!("pair {}", pair + 1), vec![one, other, share]));
        }
        figure.spread(self.what, &shares, "% of it", self.bound);
        figure.detail(Detail {
            title: format!("{}, {}", self.what.trim(), self.unit),
            columns: vec![self.columns[0], self.columns[1], "%"],
            rows,
        });
    }
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    InQuestion,
    Compared,
}
