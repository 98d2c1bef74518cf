//! From facts to sentences: what a person is told of an event. No statement is run in here.

use tms_domain::names;
use tms_domain::target::Transport;

use crate::pg::shmem::State;
use crate::store::explain::{Due, Facts, TargetFacts};

/// What is around the event.
pub(super) struct Scene {
    /// Name of the target.
    pub(super) name: String,
    /// `None`: there is no target of this name.
    pub(super) target: Option<TargetFacts>,
    pub(super) service: Service,
    /// The stamp of this installation.
    pub(super) installation: String,
}

/// Who delivers in this database.
pub(super) enum Service {
    /// The library is not preloaded: nobody.
    NotPreloaded,
    /// The launcher has not looked at this database yet.
    Unserved,
    /// The launcher's word, and whether a dispatcher runs.
    Known { state: State, is_there: bool },
}

/// Something in the way of every event of the target, and what ends it.
struct Obstacle {
    what: String,
    next: String,
}

/// Where an event is by itself, and what follows from that.
struct Account {
    state: String,
    next: String,
    /// Whether obstacles keep it from going on.
    waits_for_target: bool,
}

/// The story of an event, line by line. `head`: the event it waits behind; `Some(None)` when that one is not the caller's to see.
pub(super) fn tell(facts: &Facts, head: Option<&Option<Facts>>, scene: &Scene) -> Vec<String> {
    let mut lines = vec![format!(
        "Event {} of type {} for target {} ({}), enqueued at {}.",
        facts.id,
        facts.event_type,
        facts.target,
        transport(scene),
        facts.created_at
    )];
    if let Some(end) = ended(facts) {
        lines.extend(end);
        return lines;
    }
    let own = account(facts, scene);
    match head {
        // Only its time and its turn hold back an event that nobody has and that is not dead.
        Some(head) if own.waits_for_target => tell_of_head(&mut lines, head.as_ref(), &own, scene),
        _ => {
            lines.push(own.state);
            lines.extend(comeback(facts));
            lines.extend(last_error(facts));
            tell_next(&mut lines, own.next, own.waits_for_target, scene);
        }
    }
    lines
}

/// What is over: delivered or cancelled.
fn ended(facts: &Facts) -> Option<[String; 2]> {
    if let Some(at) = &facts.cancelled_at {
        let reason = facts.cancel_reason.as_deref().unwrap_or("no reason was given");
        return Some([
            format!("It was cancelled at {at}: {reason}"),
            "Next: nothing. An attempt that was on its way at that moment was not recalled.".to_owned(),
        ]);
    }
    facts.processed_at.as_ref().map(|at| {
        [
            format!("It was delivered at {at}, on {}.", attempt(facts)),
            "Next: nothing; it is kept for tms.event_retention.".to_owned(),
        ]
    })
}

fn tell_of_head(lines: &mut Vec<String>, head: Option<&Facts>, own: &Account, scene: &Scene) {
    let Some(head) = head else {
        lines.push("It waits behind another event, which the queue keeps in one order with it.".to_owned());
        lines.push("Next: it follows when that one is delivered or cancelled.".to_owned());
        return;
    };
    lines.push(format!(
        "It waits behind event {}, the first of its ordering key. By itself: {}",
        head.id, own.state
    ));
    let its = account(head, scene);
    lines.push(format!("That one: {}", its.state));
    lines.extend(last_error(head));
    let next = format!(
        "for that one: {} This one follows when it is delivered or cancelled.",
        its.next
    );
    tell_next(lines, next, its.waits_for_target, scene);
}

/// The last line, after whatever else is in the way.
fn tell_next(lines: &mut Vec<String>, next: String, waits_for_target: bool, scene: &Scene) {
    let mut obstacles = if waits_for_target {
        obstacles(scene)
    } else {
        Vec::new()
    };
    lines.extend(
        obstacles
            .iter_mut()
            .map(|obstacle| std::mem::take(&mut obstacle.what)),
    );
    if obstacles.is_empty() {
        lines.push(format!("Next: {next}"));
    }
    lines.extend(
        obstacles
            .into_iter()
            .map(|obstacle| format!("Next: {}", obstacle.next)),
    );
}

fn transport(scene: &Scene) -> &str {
    match &scene.target {
        Some(target) => &target.transport,
        None if names::is_built_in_target(&scene.name) => &scene.name,
        None => "no such target",
    }
}

fn is_pull(scene: &Scene) -> bool {
    let transport = scene.target.as_ref().map(|target| target.transport.as_str());
    transport == Some(Transport::Pull.as_str())
}

/// Where an undelivered event is by itself, whatever its target does.
fn account(facts: &Facts, scene: &Scene) -> Account {
    match facts.due {
        Due::Never => dead(facts, scene),
        _ if facts.is_leased => leased(facts),
        Due::Later => Account {
            state: later(facts),
            next: "it is due then.".to_owned(),
            waits_for_target: true,
        },
        Due::Now => Account {
            state: format!("It is due since {}{}.", facts.available_at, retry_of(facts)),
            next: if is_pull(scene) {
                "the next consumer that claims events of this target gets it (tms_outbox_claim).".to_owned()
            } else {
                at_once(scene)
            },
            waits_for_target: true,
        },
    }
}

fn at_once(scene: &Scene) -> String {
    match scene.target.as_ref().and_then(|target| target.per_second) {
        Some(rate) => {
            format!("it goes out in its turn; the target takes no more than {rate} attempts a second.")
        }
        None => "it goes out at once, or is on its way.".to_owned(),
    }
}

fn later(facts: &Facts) -> String {
    if facts.retry_count == 0 {
        return format!("It is scheduled: not before {}.", facts.available_at);
    }
    format!(
        "Attempt {} failed; retry {} of {} is due at {}.",
        facts.retry_count, facts.retry_count, facts.max_retries, facts.available_at
    )
}

fn retry_of(facts: &Facts) -> String {
    if facts.retry_count == 0 {
        String::new()
    } else {
        format!(", as retry {} of {}", facts.retry_count, facts.max_retries)
    }
}

fn dead(facts: &Facts, scene: &Scene) -> Account {
    let skips = scene.target.as_ref().is_some_and(|target| target.skips_dead);
    let Some(letter) = &facts.letter else {
        return Account {
            state:
                "Its available_at is infinity and it has no dead letter: somebody changed the row by hand."
                    .to_owned(),
            next: "nothing, until available_at is changed or it is cancelled (tms_event_cancel).".to_owned(),
            waits_for_target: false,
        };
    };
    let message = letter
        .message
        .as_deref()
        .map_or(String::new(), |text| format!(", {text}"));
    let others = if skips {
        "Later events of its ordering key go on without it."
    } else {
        "Later events of its ordering key, if it has one, wait meanwhile."
    };
    let (done, most) = letter.rounds;
    let rounds = match done {
        0 => String::new(),
        _ => format!(" It came back in {done} of {most} rounds."),
    };
    let hands = "tms_dlq_retry brings it back, tms_dlq_discard takes it away";
    let next = match &letter.next_round {
        Some(at) if letter.is_snoozed => {
            format!(
                "the letter is snoozed until {at}; round {} of {most} begins then",
                done + 1
            )
        }
        Some(at) => format!(
            "round {} of {most} begins at {at}, with a fresh set of attempts",
            done + 1
        ),
        None if letter.is_permanent => {
            format!("the letter is at rest until a person acts, since another attempt cannot help; {hands}")
        }
        None => {
            format!("the letter is at rest until a person acts, since its {most} rounds are used up; {hands}")
        }
    };
    Account {
        state: format!(
            "It is dead since {} after attempt {}: {}{message}. Dead letter {} has it.{rounds}",
            letter.created_at, letter.attempts, letter.error_type, letter.id
        ),
        next: format!("{next}. {others}"),
        waits_for_target: false,
    }
}

/// What an event that is under way again owes to its dead letter.
fn comeback(facts: &Facts) -> Option<String> {
    let letter = facts.letter.as_ref().filter(|_| facts.due != Due::Never)?;
    let (done, most) = letter.rounds;
    Some(match &letter.requeued_by {
        Some(who) => format!("Dead letter {} was brought back by {who}.", letter.id),
        None => format!("It is on round {done} of {most} of dead letter {}.", letter.id),
    })
}

fn leased(facts: &Facts) -> Account {
    let is_last = facts.retry_count >= facts.max_retries;
    let failure = if is_last {
        "it becomes a dead letter: this was the last attempt"
    } else {
        "it is tried again"
    };
    let (state, next) = if facts.due == Due::Now {
        (
            format!(
                "Its lease ran out at {}, on {}.",
                facts.available_at,
                attempt(facts)
            ),
            format!(
                "a late tms_outbox_ack still counts; else the next claim takes it for a failed attempt, and {failure}."
            ),
        )
    } else {
        (
            format!(
                "A consumer has it under a lease until {}, on {}.",
                facts.available_at,
                attempt(facts)
            ),
            format!("tms_outbox_ack ends it; with tms_outbox_nack, or when the lease runs out, {failure}."),
        )
    };
    Account {
        state,
        next,
        waits_for_target: false,
    }
}

fn attempt(facts: &Facts) -> String {
    format!(
        "attempt {} of {}",
        facts.retry_count.saturating_add(1),
        facts.max_retries.saturating_add(1)
    )
}

fn last_error(facts: &Facts) -> Option<String> {
    // A dead letter says it itself.
    let error = facts
        .last_error
        .as_ref()
        .filter(|_| facts.due != Due::Never && facts.retry_count > 0)?;
    Some(format!("The last attempt, at {}: {}", error.at, error.message))
}

/// What keeps every event of the target back.
fn obstacles(scene: &Scene) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let mut add = |what: String, next: &str| {
        found.push(Obstacle {
            what,
            next: next.to_owned(),
        });
    };
    match &scene.target {
        None if names::is_built_in_target(&scene.name) => {}
        None => add(
            "There is no target of this name.".to_owned(),
            "it goes on when the target is set again (tms_target_set); tms_event_cancel takes it away.",
        ),
        Some(target) => {
            if let Some(since) = &target.paused_at {
                let reason = target
                    .pause_reason
                    .as_ref()
                    .map_or(String::new(), |reason| format!(": {reason}"));
                add(
                    format!("The target is paused since {since}{reason}."),
                    "it goes on when the target is resumed (tms_target_resume).",
                );
            }
            if target.installation != scene.installation {
                add(
                    "The target was set by another installation, of which this database is a copy: it is held.".to_owned(),
                    "it goes on after tms_adopt(), if this database is the one that shall deliver.",
                );
            } else if let (None, Some((state, reason, since))) = (&target.paused_at, &target.health) {
                // A resume begins anew, whatever it was held for.
                let reason = reason
                    .as_ref()
                    .map_or(String::new(), |reason| format!(": {reason}"));
                let (what, next) = health(state);
                add(format!("{what} since {since}{reason}."), next);
            }
        }
    }
    if !is_pull(scene)
        && let Some((what, next)) = silence(&scene.service)
    {
        add(what.to_owned(), next);
    }
    found
}

fn health(state: &str) -> (&'static str, &'static str) {
    match state {
        "open" => (
            "The target's circuit breaker is open",
            "it goes on after a rest, when a few trials have succeeded.",
        ),
        "half_open" => (
            "The target's circuit breaker tries it with a few events",
            "it goes on when they have succeeded.",
        ),
        _ => (
            "The target is held",
            "it goes on when what it is held for has ended.",
        ),
    }
}

/// Why nobody delivers in this database; `None` when somebody does.
fn silence(service: &Service) -> Option<(&'static str, &'static str)> {
    let status = "tms_worker_status() and the server log say more.";
    let (state, is_there) = match service {
        Service::NotPreloaded => {
            return Some((
                "tms is not in shared_preload_libraries: nothing is delivered on this server.",
                "it goes out when tms was added there and the server restarted.",
            ));
        }
        Service::Unserved => return Some(("The launcher has not come to this database yet.", status)),
        Service::Known { state, is_there } => (state, is_there),
    };
    match state {
        State::Serving if *is_there => None,
        State::Hold => Some((
            "tms.dispatch is hold: nothing is sent.",
            "it goes out when tms.dispatch is on again.",
        )),
        State::Off => Some((
            "tms.dispatch is off: nothing is sent.",
            "it goes out when tms.dispatch is on again.",
        )),
        State::VersionMismatch => Some((
            "The library and the extension have different versions: nothing is sent.",
            "it goes out after ALTER EXTENSION tms UPDATE.",
        )),
        State::Restored => Some((
            "This server began from a backup: nothing is sent.",
            "it goes out after tms_adopt(), if this database is the one that shall deliver.",
        )),
        State::NoSlot => Some((
            "No worker slot is free for this database's dispatcher.",
            "it goes out in this database's turn, or when max_worker_processes was raised.",
        )),
        State::Serving | State::Failing | State::Leaving | State::Absent | State::Unknown => Some((
            "The dispatcher of this database is not running at this moment.",
            status,
        )),
    }
}
