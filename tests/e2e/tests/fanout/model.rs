//! Any set of subscriptions against a model of a few lines.

use std::collections::BTreeSet;

use crate::stage::{A, B, TARGETS, published, run, stage, truth};

/// A small generator, so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn dotted(&mut self, segments: &[&str]) -> String {
        let length = 1 + self.below(3);
        (0..length)
            .map(|_| self.of(segments))
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// Written from the documentation, segment by segment.
fn matches(pattern: &[&str], event_type: &[&str]) -> bool {
    match (pattern, event_type) {
        ([], []) => true,
        (["*"], [_, ..]) => true,
        (["*", rest @ ..], [_, others @ ..]) => matches(rest, others),
        ([one, rest @ ..], [same, others @ ..]) if one == same => matches(rest, others),
        _ => false,
    }
}

#[test]
fn any_set_of_subscriptions_leads_where_a_plain_model_says() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let mut looker = cluster.client("postgres");
    let mut chance = Chance(7);
    for round in 0..20 {
        let mut model = BTreeSet::new();
        run(&mut owner, "DELETE FROM tms.subscriptions");
        for _ in 0..chance.below(12) {
            let pattern = chance.dotted(&["a", "b", "*"]);
            let (target, company) = (chance.of(&TARGETS), chance.of(&["NULL", A, B]));
            let quoted = quote(company);
            let is_new = truth(
                &mut owner,
                &format!("SELECT tms_subscribe('{pattern}', '{target}', {quoted})"),
            );
            assert_eq!(is_new, model.insert((pattern, target, company)));
        }
        for _ in 0..10 {
            let (event_type, company) = (chance.dotted(&["a", "b", "c"]), chance.of(&["NULL", A, B]));
            let expected: BTreeSet<&str> = model
                .iter()
                .filter(|(pattern, _, of)| {
                    (*of == "NULL" || *of == company)
                        && matches(
                            &pattern.split('.').collect::<Vec<_>>(),
                            &event_type.split('.').collect::<Vec<_>>(),
                        )
                })
                .map(|(_, target, _)| *target)
                .collect();
            let arguments = format!("'{event_type}', '{{}}', {}", quote(company));
            assert_eq!(
                published(&mut looker, &mut owner, &arguments),
                expected.into_iter().collect::<Vec<_>>().join(" "),
                "round {round}: {arguments}; subscriptions: {model:?}"
            );
        }
    }
}

fn quote(company: &str) -> String {
    match company {
        "NULL" => "NULL".to_owned(),
        company => format!("'{company}'"),
    }
}
