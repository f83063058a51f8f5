use std::collections::{BTreeMap, BTreeSet};

/// Where an object would like to stand: the group, the relation it belongs to, its place there, its own name.
pub(super) type Place = (u8, String, u8, String);

/// Puts objects behind what they need, and apart from that where they would like to stand.
///
/// Where objects need each other, the one that would like to stand first is taken first; a function and the default
/// that calls it can form such a ring.
pub(super) fn order(places: &BTreeMap<String, Place>, edges: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut needs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges {
        if from != to && places.contains_key(from) && places.contains_key(to) {
            needs.entry(from).or_default().insert(to);
            needed_by.entry(to).or_default().push(from);
        }
    }
    let mut waiting: BTreeSet<(&Place, &str)> = places.iter().map(|(key, place)| (place, key.as_str())).collect();
    let mut ready: BTreeSet<(&Place, &str)> =
        waiting.iter().filter(|(_, key)| !needs.contains_key(key)).copied().collect();
    let mut ordered = Vec::with_capacity(places.len());
    while let Some(next) = ready.pop_first().or_else(|| waiting.first().copied()) {
        waiting.remove(&next);
        ordered.push(next.1.to_owned());
        for freed in needed_by.get(next.1).into_iter().flatten() {
            let Some(left) = needs.get_mut(freed) else { continue };
            left.remove(next.1);
            if let (true, Some(place)) = (left.is_empty(), places.get(*freed))
                && waiting.contains(&(place, *freed))
            {
                ready.insert((place, freed));
            }
        }
    }
    ordered
}

/// The sets of more than one object in which each needs each other (Tarjan 1972, without recursion).
pub(super) fn rings<'a>(
    keys: impl Iterator<Item = &'a String>,
    edges: &BTreeSet<(String, String)>,
) -> Vec<BTreeSet<String>> {
    let mut needs: BTreeMap<&str, Vec<&str>> = keys.map(|key| (key.as_str(), Vec::new())).collect();
    let names: BTreeSet<&str> = needs.keys().copied().collect();
    for (from, to) in edges.iter().filter(|(_, to)| names.contains(to.as_str())) {
        if let Some(needed) = needs.get_mut(from.as_str()) {
            needed.push(to);
        }
    }
    // The number of a visit, and the lowest one that is reached from there; an object that is done has none.
    let mut visits: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let (mut open, mut done, mut found): (Vec<&str>, BTreeSet<&str>, Vec<BTreeSet<String>>) = Default::default();
    for start in &names {
        let mut path: Vec<(&str, usize)> = if visits.contains_key(start) { Vec::new() } else { vec![(start, 0)] };
        while let Some((key, at)) = path.pop() {
            let count = visits.len();
            let (number, mut low) = *visits.entry(key).or_insert_with(|| {
                open.push(key);
                (count, count)
            });
            let needed = needs.get(key).map_or(&[][..], Vec::as_slice);
            if let Some(before) =
                at.checked_sub(1).and_then(|before| needed.get(before)).filter(|key| !done.contains(*key))
            {
                low = low.min(visits.get(before).map_or(low, |(_, low)| *low));
            }
            visits.insert(key, (number, low));
            if let Some(next) = needed.get(at) {
                path.push((key, at + 1));
                if !visits.contains_key(next) {
                    path.push((next, 0));
                }
                continue;
            }
            if low == number {
                let from = open.iter().rposition(|open| *open == key).unwrap_or(open.len());
                let members = open.split_off(from);
                done.extend(&members);
                if members.len() > 1 {
                    found.push(members.into_iter().map(str::to_owned).collect());
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(count: u8, edges: &[(u8, u8)]) -> Vec<u8> {
        let place = |key: u8| (key / 4, String::new(), key, String::new());
        let places = (0..count).map(|key| (key.to_string(), place(key))).collect();
        let edges = edges.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
        order(&places, &edges).iter().map(|key| key.parse().unwrap()).collect()
    }

    #[test]
    fn what_is_needed_comes_first_and_a_ring_is_broken() {
        assert_eq!(ordered(4, &[(0, 3), (1, 0)]), [2, 3, 0, 1]);
        assert_eq!(ordered(3, &[(0, 1), (1, 0)]), [2, 0, 1]);
    }

    fn reaches(edges: &[(u8, u8)], from: u8, to: u8) -> bool {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
        while let Some(next) = waiting.pop() {
            for (_, needed) in edges.iter().filter(|(from, _)| *from == next) {
                if seen.insert(*needed) {
                    waiting.push(*needed);
                }
            }
        }
        seen.contains(&to)
    }

    proptest! {
        #[test]
        fn a_ring_is_what_reaches_each_other(edges in proptest::collection::vec((0_u8..12, 0_u8..12), 0..24)) {
            let keys: Vec<String> = (0..12_u8).map(|key| key.to_string()).collect();
            let named = edges.iter().map(|(from, to)| (from.to_string(), to.to_string())).collect();
            let found = rings(keys.iter(), &named);
            for one in 0..12_u8 {
                for other in 0..one {
                    let wanted = reaches(&edges, one, other) && reaches(&edges, other, one);
                    let is_found = found.iter().any(|ring| [one, other].iter().all(|key| ring.contains(&key.to_string())));
                    prop_assert_eq!(is_found, wanted, "{} {}", one, other);
                }
            }
        }

        #[test]
        fn everything_comes_once_and_behind_what_it_needs(edges in proptest::collection::vec((0_u8..30, 0_u8..30), 0..60)) {
            let found = ordered(30, &edges);
            let all: BTreeSet<u8> = found.iter().copied().collect();
            prop_assert_eq!((found.len(), all.len()), (30, 30));
            // Edges that lead downwards form no ring.
            let edges: Vec<(u8, u8)> = edges.into_iter().filter(|(from, to)| from > to).map(|(from, to)| (to, from)).collect();
            let found = ordered(30, &edges);
            let at = |key: u8| found.iter().position(|found| *found == key);
            for (from, to) in edges {
                prop_assert!(at(from) > at(to));
            }
        }
    }
}
