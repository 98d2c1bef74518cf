//! Ordering keys held against what arrived: within a key, one event after the other.

use std::collections::HashMap;

use postgres::Client;
use uuid::Uuid;

/// One ordering key of a target and company, with its events in the order that their numbers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Target, company and key, for people.
    pub name: String,
    /// Its events; those that were delivered too.
    pub events: Vec<Uuid>,
}

/// One arrival: the event, and the life of the dispatcher that sent it (0 where there is only one).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The event.
    pub id: Uuid,
    /// The number of the dispatcher's life.
    pub life: usize,
}

/// All keys of a database, cancelled events left out.
pub fn of_database(client: &mut Client) -> Result<Vec<Key>, postgres::Error> {
    let rows = client.query(
        "SELECT concat_ws(' ', target_system, company_id, ordering_key), array_agg(id ORDER BY seq)
           FROM tms.event_outbox WHERE ordering_key IS NOT NULL AND cancelled_at IS NULL
          GROUP BY target_system, company_id, ordering_key ORDER BY 1",
        &[],
    )?;
    let keys = rows.iter().map(|row| Key {
        name: row.get(0),
        events: row.get(1),
    });
    Ok(keys.collect())
}

/// Arrivals of one life, from ids.
pub fn of_one_life(ids: &[Uuid]) -> Vec<Arrival> {
    ids.iter().map(|&id| Arrival { id, life: 0 }).collect()
}

/// What is wrong with these arrivals, in words; empty when nothing is. Whether everything has arrived is asked too.
///
/// Within a life an event is followed by itself (another attempt) or by the next one of its key. The next life may go
/// back, to the first event whose delivery it does not know of; from there it goes on as before.
pub fn objections(keys: &[Key], arrivals: &[Arrival]) -> Vec<String> {
    let mut places = HashMap::new();
    for (key, events) in keys.iter().enumerate() {
        places.extend(
            events
                .events
                .iter()
                .enumerate()
                .map(|(place, id)| (*id, (key, place))),
        );
    }
    let mut last: Vec<Option<(usize, usize)>> = vec![None; keys.len()];
    let mut furthest = vec![0; keys.len()];
    let mut objections = Vec::new();
    for arrival in arrivals {
        let Some(&(key, place)) = places.get(&arrival.id) else {
            continue;
        };
        let may_come = match last[key] {
            None => place == 0,
            Some((before, life)) if life == arrival.life => place == before || place == before + 1,
            Some((before, _)) => place <= before + 1,
        };
        if !may_come {
            objections.push(format!(
                "{}: event {place} of {} came after {:?} (place, life) in life {}",
                keys[key].name,
                keys[key].events.len(),
                last[key],
                arrival.life
            ));
        }
        last[key] = Some((place, arrival.life));
        furthest[key] = furthest[key].max(place + 1);
    }
    let short = keys.iter().zip(&furthest);
    let short = short.filter(|(key, furthest)| key.events.len() != **furthest);
    objections.extend(short.map(|(key, furthest)| {
        format!(
            "{}: {furthest} of {} events have come",
            key.name,
            key.events.len()
        )
    }));
    objections
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            name: "hook a".into(),
            events: (1..=3).map(Uuid::from_u128).collect(),
        }
    }

    fn came(arrivals: &[(u128, usize)]) -> Vec<String> {
        let arrivals: Vec<_> = arrivals
            .iter()
            .map(|&(id, life)| Arrival {
                id: Uuid::from_u128(id),
                life,
            })
            .collect();
        objections(&[key()], &arrivals)
    }

    #[test]
    fn attempts_and_a_new_life_may_repeat_and_nothing_else_may() {
        assert_eq!(came(&[(1, 0), (1, 0), (2, 0), (9, 0), (3, 0)]), [""; 0]);
        assert_eq!(came(&[(1, 0), (2, 0), (1, 1), (2, 1), (3, 1)]), [""; 0]);
        for wrong in [
            &[(2, 0), (3, 0)][..],
            &[(1, 0), (3, 0)],
            &[(1, 0), (2, 0), (1, 0), (2, 0), (3, 0)],
            &[(1, 0), (2, 0)],
            &[(1, 0), (3, 1)],
            &[],
        ] {
            assert_eq!(came(wrong).len(), 1, "{wrong:?}: {:?}", came(wrong));
        }
    }
}
