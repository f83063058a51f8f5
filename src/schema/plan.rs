//! What a dump is made of, and what needs what. Rings are undone by making a part of an object later than the rest.

use super::dump::{Ledger, shell_key};
use super::order::{Place, rings};
use super::{Database, Refused, Relation};
use std::collections::{BTreeMap, BTreeSet};

/// Statements that stay together.
pub(super) struct Node {
    pub(super) place: Place,
    /// What it is and how it is called.
    pub(super) what: String,
    pub(super) statements: String,
}

/// The parts that are made later than their object, each with the ring that this undoes.
pub(super) type Separated = BTreeMap<String, BTreeSet<String>>;

pub(super) struct Plan<'a> {
    pub(super) database: &'a Database,
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) by_name: BTreeMap<&'a str, &'a Relation>,
    pub(super) separated: Separated,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) edges: BTreeSet<(String, String)>,
    /// Which object a part is made with.
    homes: BTreeMap<String, String>,
    /// The parts that can be made later: defaults, checks, the queries of views, and types that can be announced.
    pub(super) separable: BTreeSet<String>,
    pub(super) refused: Vec<Refused>,
    pub(super) left_out: Vec<String>,
}

/// Separates what must be, and refuses the rings that remain.
pub(super) fn settle<'a>(database: &'a Database, ledger: &'a Ledger<'a>) -> Plan<'a> {
    let mut separated = Separated::new();
    loop {
        let mut plan = Plan::of(database, ledger, separated.clone());
        let rings = rings(plan.nodes.keys(), &plan.edges);
        let next: Separated = rings.iter().flat_map(|ring| plan.separable_in(ring)).collect();
        if next.is_empty() {
            for ring in &rings {
                plan.refuse_ring(ring);
            }
            return plan;
        }
        separated.extend(next);
    }
}

impl<'a> Plan<'a> {
    fn of(database: &'a Database, ledger: &'a Ledger<'a>, separated: Separated) -> Self {
        let mut plan = Self {
            database,
            ledger,
            by_name: database.relations.iter().map(|found| (found.shown.as_str(), found)).collect(),
            separated,
            nodes: BTreeMap::new(),
            edges: BTreeSet::new(),
            homes: BTreeMap::new(),
            separable: BTreeSet::new(),
            refused: database.refused.clone(),
            left_out: Vec::new(),
        };
        plan.gather();
        plan.connect();
        plan
    }

    pub(super) fn add(&mut self, key: String, place: (u8, &str, u8, &str), what: String, statements: String) {
        let place = (place.0, place.1.to_owned(), place.2, place.3.to_owned());
        self.nodes.insert(key, Node { place, what, statements });
    }

    /// Something that belongs to a relation.
    pub(super) fn add_part(
        &mut self,
        key: String,
        owner: &Relation,
        place: (u8, u8, &str),
        what: String,
        statements: String,
    ) {
        self.edges.insert((key.clone(), format!("r{}", owner.oid)));
        self.add(key, (place.0, &owner.shown, place.1, place.2), what, statements);
    }

    /// Something that is made with its object, unless it has a node of its own.
    pub(super) fn part(&mut self, part: &str, home: &str, is_separable: bool) {
        self.homes.insert(part.to_owned(), home.to_owned());
        if is_separable {
            self.separable.insert(part.to_owned());
        }
    }

    /// Whether a check stands in the statement that makes its object.
    pub(super) fn is_inline(&self, part: &str, is_validated: bool) -> bool {
        is_validated && !self.separated.contains_key(part)
    }

    fn node_of<'k>(&'k self, key: &'k str) -> &'k str {
        if self.nodes.contains_key(key) { key } else { self.homes.get(key).map_or(key, String::as_str) }
    }

    /// Lays the catalog's dependencies over the nodes.
    fn connect(&mut self) {
        let late_queries: BTreeMap<&str, (&str, &BTreeSet<String>)> = self
            .separated
            .iter()
            .filter(|(part, _)| part.starts_with('w'))
            .filter_map(|(part, ring)| Some((self.homes.get(part)?.as_str(), (part.as_str(), ring))))
            .collect();
        let mut edges = BTreeSet::new();
        let mut lost = BTreeSet::new();
        for edge in &self.database.edges {
            let (from, to) = (self.node_of(&edge.from), self.node_of(&edge.to));
            let Some(node) = self.nodes.get(from).filter(|_| from != to) else { continue };
            if !self.nodes.contains_key(to) {
                lost.insert(node.what.clone());
                continue;
            }
            // A function may speak of a type that is only announced.
            let is_early = from.starts_with('f') && self.separated.get(to).is_some_and(|ring| ring.contains(from));
            let to = if is_early { shell_key(to) } else { to.to_owned() };
            // Who is in no ring with a view waits for its query.
            let home = self.homes.get(from).map_or(from, String::as_str);
            if let Some((query, ring)) = late_queries.get(to.as_str())
                && from != *query
                && !ring.contains(home)
            {
                edges.insert((from.to_owned(), (*query).to_owned()));
            }
            edges.insert((from.to_owned(), to));
        }
        let reason = "it needs an object that belongs to devdb or to no schema of yours";
        self.refused.extend(lost.into_iter().map(|object| refused(object, reason)));
        self.edges.extend(edges);
    }

    /// The parts that keep a ring together; of several sorts, the one whose separation shows least.
    fn separable_in(&self, ring: &BTreeSet<String>) -> Separated {
        let is_in = |key: &str| ring.contains(self.node_of(key));
        let mut sorts: [BTreeSet<&String>; 3] = Default::default();
        for edge in &self.database.edges {
            if !self.separable.contains(&edge.from) || self.separated.contains_key(&edge.from) {
                continue;
            }
            if self.node_of(&edge.from) != self.node_of(&edge.to) && is_in(&edge.from) && is_in(&edge.to) {
                let sort = match edge.from.chars().next() {
                    Some('t') => 1,
                    Some('w') => 2,
                    _ => 0,
                };
                sorts[sort].insert(&edge.from);
            }
        }
        let found = sorts.into_iter().find(|parts| !parts.is_empty()).unwrap_or_default();
        found.into_iter().map(|part| (part.clone(), ring.clone())).collect()
    }

    fn refuse_ring(&mut self, ring: &BTreeSet<String>) {
        let mut names: Vec<&str> = ring.iter().filter_map(|key| Some(self.nodes.get(key)?.what.as_str())).collect();
        names.sort_unstable();
        let object = names.join(" and ");
        self.refused.push(refused(object, "they need each other"));
    }
}

pub(super) fn refused(object: String, reason: &str) -> Refused {
    Refused { object, reason: reason.to_owned(), definition: None }
}
