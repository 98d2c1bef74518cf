//! Plans of the statements of tms on the outbox, read from the server log where auto_explain has put them.

use std::collections::BTreeMap;

use serde_json::Value;

/// How often a statement ran with one plan, and the most blocks a run of it touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The beginning of the statement.
    pub statement: String,
    /// Access to the outbox and what orders or joins it, from the top down.
    pub nodes: Vec<String>,
    pub runs: usize,
    pub most_blocks: u64,
}

impl Plan {
    /// Every access to the outbox is by place or by an index that is told where to begin, and nothing is sorted but a batch that
    /// was read before. What walks an index from end to end looks harmless in a plan and costs the length of the queue each time.
    pub fn is_as_designed(&self) -> bool {
        let allowed = [
            "Index Scan using",
            "Index Only Scan using",
            "Tid Scan",
            SORT_OF_GATHERED,
        ];
        self.nodes
            .iter()
            .filter(|node| node.contains("event_outbox") || node.contains("Sort"))
            .all(|node| allowed.iter().any(|kind| node.starts_with(kind)) && !node.ends_with(END_TO_END))
    }
}

/// Said of a sort of what the statement itself has gathered before: a batch, or the queues of a target.
const SORT_OF_GATHERED: &str = "Sort of what was gathered";
/// Said of an index scan without a condition.
const END_TO_END: &str = " from end to end";

/// The different plans of those statements that touch the outbox, run by processes of this kind, such as `tms dispatcher`.
pub fn plans_of(log: &str, backend_type: &str) -> Vec<Plan> {
    let mut plans: BTreeMap<(String, Vec<String>), (usize, u64)> = BTreeMap::new();
    for logged in logged_plans(log, backend_type) {
        let mut nodes = Vec::new();
        collect(&logged["Plan"], &mut nodes);
        if nodes.iter().any(|node| node.contains("event_outbox")) {
            let entry = plans
                .entry((beginning(&logged["Query Text"]), nodes))
                .or_default();
            entry.0 += 1;
            entry.1 = entry.1.max(blocks(&logged["Plan"]));
        }
    }
    plans
        .into_iter()
        .map(|((statement, nodes), (runs, most_blocks))| Plan {
            statement,
            nodes,
            runs,
            most_blocks,
        })
        .collect()
}

/// Whether a plan of such a process begins behind this line of the log.
pub fn is_of(line: &str, backend_type: &str) -> bool {
    line.contains(&format!("] {backend_type} ")) && line.ends_with("plan:")
}

/// The JSON documents behind `plan:` in lines of such processes. Their further lines begin with a tab.
fn logged_plans(log: &str, backend_type: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !is_of(line, backend_type) {
            continue;
        }
        let mut document = String::new();
        while let Some(rest) = lines.next_if(|next| next.starts_with('\t')) {
            document.push_str(rest);
            document.push('\n');
        }
        if let Ok(plan) = serde_json::from_str(&document) {
            found.push(plan);
        }
    }
    found
}

fn collect(node: &Value, nodes: &mut Vec<String>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    let mut name = text("Node Type").to_owned();
    for (key, word) in [("Index Name", "using"), ("Relation Name", "on")] {
        if node[key].is_string() {
            name.push_str(&format!(" {word} {}", text(key)));
        }
    }
    if node["Index Name"].is_string() && !node["Index Cond"].is_string() {
        name.push_str(END_TO_END);
    }
    // An UPDATE names its table too; it is not the way to it.
    if text("Node Type") == "ModifyTable" {
        name = text("Operation").to_owned();
    }
    if name == "Sort" && !reads_a_table(node) {
        name = SORT_OF_GATHERED.to_owned();
    }
    nodes.push(name);
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect(child, nodes);
    }
}

/// Whether a table or an index is read below, not counting the plans that are run once, before.
fn reads_a_table(node: &Value) -> bool {
    let children = node["Plans"].as_array().into_iter().flatten();
    node["Relation Name"].is_string()
        || children
            .filter(|child| child["Parent Relationship"] != "InitPlan")
            .any(reads_a_table)
}

fn blocks(plan: &Value) -> u64 {
    ["Shared Hit Blocks", "Shared Read Blocks"]
        .iter()
        .filter_map(|key| plan[key].as_u64())
        .sum()
}

fn beginning(statement: &Value) -> String {
    let words: Vec<&str> = statement
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    words.join(" ").chars().take(50).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"2026-01-01 00:00:00 [7] tms dispatcher 0 00000: LOG:  duration: 0.1 ms  plan:
	{
	  "Query Text": "SELECT e.ctid\n  FROM tms.event_outbox e",
	  "Plan": {
	    "Node Type": "Limit",
	    "Shared Hit Blocks": 4,
	    "Shared Read Blocks": 1,
	    "Plans": [
	      { "Node Type": "Index Scan", "Relation Name": "event_outbox", "Index Name": "event_outbox_due",
	        "Index Cond": "(e.target_system = $1)" }
	    ]
	  }
	}
2026-01-01 00:00:00 [8] client backend 0 00000: LOG:  duration: 0.1 ms  plan:
	{ "Query Text": "SELECT 1", "Plan": { "Node Type": "Seq Scan", "Relation Name": "event_outbox" } }
"#;

    fn plan(nodes: &[&str]) -> Plan {
        Plan {
            statement: String::new(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            runs: 1,
            most_blocks: 0,
        }
    }

    #[test]
    fn plans_of_one_kind_of_process_are_read_and_counted() {
        let plans = plans_of(&format!("{LOG}{LOG}"), "tms dispatcher");
        assert_eq!(plans.len(), 1);
        assert_eq!((plans[0].runs, plans[0].most_blocks), (2, 5));
        assert_eq!(
            plans[0].nodes,
            ["Limit", "Index Scan using event_outbox_due on event_outbox"]
        );
        assert_eq!(plans[0].statement, "SELECT e.ctid FROM tms.event_outbox e");
    }

    #[test]
    fn a_sort_says_whether_it_sorts_a_table() {
        let first = |input: &str| {
            let tree = serde_json::json!({ "Node Type": "Sort", "Plans": [
                { "Node Type": "Index Scan", "Relation Name": "event_outbox", "Parent Relationship": "InitPlan" },
                { "Node Type": "Append", "Parent Relationship": "Outer", "Plans": [serde_json::from_str::<Value>(input).unwrap()] },
            ]});
            let mut nodes = Vec::new();
            collect(&tree, &mut nodes);
            nodes.swap_remove(0)
        };
        assert_eq!(first(r#"{ "Node Type": "CTE Scan" }"#), SORT_OF_GATHERED);
        assert_eq!(
            first(r#"{ "Node Type": "Seq Scan", "Relation Name": "event_outbox" }"#),
            "Sort"
        );
    }

    #[test]
    fn a_sort_and_a_walk_through_the_table_are_not_as_designed() {
        let by_index = "Index Scan using event_outbox_due on event_outbox";
        assert!(plan(&["Limit", by_index]).is_as_designed());
        assert!(
            plan(&[
                "Update",
                "Nested Loop",
                "Function Scan",
                "Tid Scan on event_outbox"
            ])
            .is_as_designed()
        );
        assert!(!plan(&["Limit", "Sort", by_index]).is_as_designed());
        assert!(plan(&["Limit", by_index, SORT_OF_GATHERED, "CTE Scan"]).is_as_designed());
        assert!(
            !plan(&["Nested Loop", &format!("{by_index}{END_TO_END}"), "Function Scan"]).is_as_designed()
        );
        assert!(!plan(&["Seq Scan on event_outbox"]).is_as_designed());
        assert!(!plan(&["Bitmap Heap Scan on event_outbox", "Bitmap Index Scan using x"]).is_as_designed());
    }
}
