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

    proptest! {
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
