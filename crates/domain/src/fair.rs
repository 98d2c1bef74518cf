//! How the places of a target are shared among those who wait for them.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

/// Divides `room` further places among lanes that have so many calls in flight already: how many each may start.
///
/// Max-min fair: whoever has least comes first, and no lane gets a place while another that has got one would still
/// have fewer. The shares sum up to `room` unless there is no lane. Among equals the earlier in the list comes first:
/// the caller lets the lanes take turns by putting behind the others those that were served last.
///
/// A lane that has fewer events than its share leaves places free: divide those again among the others.
#[must_use]
pub fn divide(room: usize, in_flight: &[usize]) -> Vec<usize> {
    let mut shares = vec![0; in_flight.len()];
    let mut order: Vec<usize> = (0..in_flight.len()).collect();
    // A stable sort keeps the turns of equals.
    order.sort_by_key(|lane| in_flight[*lane]);
    let Some((members, level)) = level(room, in_flight, &order) else {
        return shares;
    };
    let mut left = room;
    for lane in &order[..members] {
        // What lifts a lane to the common level; it is never above it, since the order is by what lanes have.
        shares[*lane] = level - in_flight[*lane];
        left -= shares[*lane];
    }
    // Less than one place for each of them is left.
    let mut turns: Vec<usize> = order[..members].to_vec();
    turns.sort_unstable();
    for lane in turns.into_iter().take(left) {
        shares[lane] += 1;
    }
    shares
}

/// How many of the lanes, in their order, get places, and the level that all of them are lifted to.
fn level(room: usize, in_flight: &[usize], order: &[usize]) -> Option<(usize, usize)> {
    let mut found = None;
    let mut sum: u128 = 0;
    for (before, lane) in order.iter().enumerate() {
        let has = in_flight[*lane] as u128;
        let members = before as u128 + 1;
        // Lifting everyone so far to where this lane stands must not take more than there is.
        if has * before as u128 - sum > room as u128 {
            break;
        }
        sum += has;
        let level = usize::try_from((sum + room as u128) / members).unwrap_or(usize::MAX);
        found = Some((before + 1, level));
    }
    found
}
