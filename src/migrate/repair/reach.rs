use super::body::Body;
use super::deed::{Deed, Scope};
use super::links::{Function, Link, LinkKind, Links, Mode, follow, told};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// Everything that hangs on anything: what stands in the catalog, and what the scripts at hand make.
pub(super) struct World<'a> {
    relations: HashSet<&'a str>,
    others: HashSet<&'a str>,
    functions: HashMap<&'a str, Vec<&'a Function>>,
    links: Vec<&'a Link>,
    /// The links at a name, and whether they begin there.
    at: HashMap<&'a str, Vec<(usize, bool)>>,
    foreign: HashSet<&'a str>,
    opaque: HashSet<&'a str>,
    /// Relations and functions that no script at hand made.
    standing: HashSet<&'a str>,
    /// What hung on these is not known any more, and by whom.
    gone: HashMap<&'a str, &'a str>,
    /// What hung on some relation is not known any more.
    scope: Option<(Scope, String)>,
}

/// A script whose deeds count, by the migration's name.
pub(super) struct Player<'a> {
    pub(super) name: &'a str,
    pub(super) deeds: &'a [Deed],
    /// It ran already: what it took away does not show in the catalog.
    pub(super) is_executed: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(live: &'a Links, players: &[Player<'a>]) -> Self {
        let names = |all: &'a [String]| all.iter().map(String::as_str).collect::<HashSet<_>>();
        let mut world = Self {
            relations: names(&live.relations),
            others: names(&live.others),
            functions: HashMap::new(),
            links: live.links.iter().collect(),
            at: HashMap::new(),
            foreign: names(&live.foreign),
            opaque: names(&live.opaque),
            standing: live.relations.iter().chain(live.functions.iter().map(|f| &f.name)).map(String::as_str).collect(),
            gone: HashMap::new(),
            scope: None,
        };
        for function in &live.functions {
            world.functions.entry(&function.name).or_default().push(function);
        }
        for player in players {
            player.deeds.iter().for_each(|deed| world.play(player, deed));
        }
        for (index, link) in world.links.iter().enumerate() {
            world.at.entry(&link.from).or_default().push((index, true));
            world.at.entry(&link.to).or_default().push((index, false));
        }
        world
    }

    fn play(&mut self, player: &Player<'a>, deed: &'a Deed) {
        for (name, _) in &deed.touched {
            if !deed.is_other {
                self.relations.insert(name);
            } else if deed.function.is_none() {
                self.others.insert(name);
            }
        }
        for name in &deed.created {
            self.standing.remove(name.as_str());
        }
        if let Some(function) = &deed.function {
            self.functions.entry(&function.name).or_default().push(function);
        }
        self.links.extend(&deed.links);
        if player.is_executed {
            self.gone.extend(deed.removal.of.iter().map(|name| (name.as_str(), player.name)));
            self.forget(deed.removal.scope, format!("what hung on it before {} is not known", player.name));
        }
    }

    /// From now on it is not known what hung on the relations that stood before.
    pub(super) fn forget(&mut self, scope: Scope, why: String) {
        if scope > self.scope.as_ref().map_or(Scope::None, |(known, _)| *known) {
            self.scope = Some((scope, why));
        }
    }

    fn is_node(&self, name: &str) -> bool {
        self.relations.contains(name) || self.others.contains(name) || self.functions.contains_key(name)
    }

    /// Why nothing is known of what this reaches.
    fn is_unknown(&self, name: &str, mode: Mode) -> Option<String> {
        let is_run = matches!(mode, Mode::Used | Mode::Inserted | Mode::Written);
        if is_run && self.foreign.contains(name) {
            return Some("whose rows are on another server".to_owned());
        }
        if is_run && self.opaque.contains(name) {
            return Some("which looks at more than its definition names".to_owned());
        }
        if is_run && let Some(by) = self.gone.get(name) {
            return Some(format!("and what hung on {name} before {by} is not known"));
        }
        let (scope, why) = self.scope.as_ref()?;
        let matters = match scope {
            Scope::None => false,
            Scope::Keys => mode == Mode::Written,
            Scope::Rows => is_run && self.relations.contains(name),
            Scope::Anything | Scope::Everything => is_run || mode == Mode::Defined,
        };
        (matters && self.standing.contains(name)).then(|| format!("and {why}"))
    }
}

type Spot = (String, Mode);

struct Way {
    from: Option<Spot>,
    words: String,
}

/// All that a script may change or read, wherever that hangs.
pub(super) struct Reach {
    found: BTreeMap<Spot, Way>,
    by_name: BTreeMap<String, Vec<Mode>>,
}

struct Walk<'w, 'a> {
    world: &'w World<'a>,
    reach: Reach,
    queue: VecDeque<(Spot, bool)>,
    /// Reached until now only from where it goes no further.
    ends: BTreeSet<Spot>,
}

impl Reach {
    /// # Errors
    /// What cannot be told, as a sentence without its subject.
    pub(super) fn of(deeds: &[Deed], world: &World<'_>) -> Result<Self, String> {
        if let Some((Scope::Everything, why)) = &world.scope {
            return Err(why.clone());
        }
        let reach = Self { found: BTreeMap::new(), by_name: BTreeMap::new() };
        let mut walk = Walk { world, reach, queue: VecDeque::new(), ends: BTreeSet::new() };
        for deed in deeds {
            if let (true, Some((_, why))) = (deed.is_conditional, &world.scope) {
                return Err(format!("makes something where it is not there, and {why}"));
            }
            for (name, mode) in &deed.touched {
                walk.visit((name.clone(), *mode), false, None, || format!("{} {name}", deed.verb));
            }
            for name in deed.mentioned.iter().filter(|name| world.is_node(name)) {
                let is_row = deed.mention == Mode::Written && world.relations.contains(name.as_str());
                let mode = if deed.mention == Mode::Known || is_row { deed.mention } else { Mode::Used };
                walk.visit((name.clone(), mode), false, None, || format!("mentions {name}"));
            }
        }
        walk.ambient(LinkKind::Event, deeds.iter().any(|deed| deed.is_ddl), "changes definitions");
        let has_events = world.links.iter().any(|link| link.kind == LinkKind::Event);
        let runs = has_events || deeds.iter().any(|deed| deed.mention != Mode::Known);
        walk.ambient(LinkKind::Operator, runs, "runs expressions");
        while let Some((spot, is_end)) = walk.queue.pop_front() {
            walk.go_on(&spot, is_end)?;
        }
        Ok(walk.reach)
    }

    /// The names for which the order matters, and how each side comes to the first of them.
    pub(super) fn shared(&self, other: &Self) -> Option<(Vec<String>, [Option<String>; 2])> {
        let meets = |name: &String| {
            let (Some(left), Some(right)) = (self.by_name.get(name), other.by_name.get(name)) else { return false };
            left.iter().any(|one| right.iter().any(|two| one.disturbs(*two) || two.disturbs(*one)))
        };
        let names: Vec<&String> = self.by_name.keys().filter(|name| meets(name)).collect();
        let depth = |name: &String| self.depth(name) + other.depth(name);
        let nearest = names.iter().map(|name| depth(name)).min()?;
        let mut names: Vec<String> = names.into_iter().filter(|name| depth(name) == nearest).cloned().collect();
        if nearest == 2 {
            return Some((names, [None, None]));
        }
        names.truncate(1);
        let way = |side: &Self| Some(side.told(side.nearest(&names[0])?)).filter(|_| side.depth(&names[0]) > 1);
        let ways = [way(self), way(other)];
        Some((names, ways))
    }

    fn nearest(&self, name: &str) -> Option<&Spot> {
        let spots = self.found.range((name.to_owned(), Mode::Known)..=(name.to_owned(), Mode::Written));
        spots.map(|(spot, _)| spot).min_by_key(|spot| self.steps(spot).len())
    }

    fn depth(&self, name: &str) -> usize {
        self.nearest(name).map_or(0, |spot| self.steps(spot).len())
    }

    fn steps(&self, spot: &Spot) -> Vec<&str> {
        let (mut steps, mut at) = (Vec::new(), Some(spot));
        while let Some(way) = at.and_then(|spot| self.found.get(spot)) {
            steps.push(way.words.as_str());
            at = way.from.as_ref();
        }
        steps.reverse();
        steps
    }

    /// `inserts into person, whose trigger t calls note(), which mentions audit`.
    fn told(&self, spot: &Spot) -> String {
        self.steps(spot).join(", ")
    }
}

impl Walk<'_, '_> {
    fn visit(&mut self, spot: Spot, is_end: bool, from: Option<&Spot>, words: impl FnOnce() -> String) {
        if self.reach.found.contains_key(&spot) {
            if !is_end && self.ends.remove(&spot) {
                self.queue.push_back((spot, false));
            }
            return;
        }
        if is_end {
            self.ends.insert(spot.clone());
        }
        self.reach.by_name.entry(spot.0.clone()).or_default().push(spot.1);
        self.reach.found.insert(spot.clone(), Way { from: from.cloned(), words: words() });
        self.queue.push_back((spot, is_end));
    }

    /// What is called although nothing names it.
    fn ambient(&mut self, kind: LinkKind, applies: bool, verb: &str) {
        let world = self.world;
        for link in world.links.iter().filter(|link| applies && link.kind == kind) {
            let words = || format!("{verb}, {}", told(link, Mode::Used, true));
            self.visit((link.to.clone(), Mode::Used), false, None, words);
        }
    }

    fn go_on(&mut self, spot: &Spot, is_end: bool) -> Result<(), String> {
        let ((name, mode), world) = (spot, self.world);
        if is_end {
            self.links(spot, |kind| kind == LinkKind::Child);
            return Ok(());
        }
        if let Some(why) = world.is_unknown(name, *mode) {
            return Err(format!("{}, {why}", self.reach.told(spot)));
        }
        self.links(spot, |_| true);
        let is_called = matches!(mode, Mode::Used | Mode::Inserted | Mode::Written);
        for function in world.functions.get(name.as_str()).into_iter().flatten().filter(|_| is_called) {
            match Body::of(function) {
                Body::Opaque(why) => return Err(format!("{}, {why}", self.reach.told(spot))),
                Body::Mentions(names, changes) => self.mentions(spot, &names, changes),
            }
        }
        Ok(())
    }

    fn mentions(&mut self, spot: &Spot, names: &BTreeSet<String>, changes: bool) {
        for name in names.iter().filter(|name| **name != spot.0 && self.world.is_node(name)).collect::<Vec<_>>() {
            let is_row = changes && self.world.relations.contains(name.as_str());
            let mode = if is_row { Mode::Written } else { Mode::Used };
            self.visit((name.clone(), mode), false, Some(spot), || format!("which mentions {name}"));
        }
    }

    fn links(&mut self, spot: &Spot, counts: impl Fn(LinkKind) -> bool) {
        let ((name, mode), world) = (spot, self.world);
        for (index, is_forward) in world.at.get(name.as_str()).into_iter().flatten() {
            let link = world.links[*index];
            let Some((mut next, is_end)) = follow(link.kind, *mode, *is_forward).filter(|_| counts(link.kind)) else {
                continue;
            };
            let to = if *is_forward { &link.to } else { &link.from };
            let is_row = world.relations.contains(to.as_str());
            let is_volatile =
                || world.functions.get(name.as_str()).is_some_and(|all| all.iter().any(|f| f.is_volatile));
            if link.kind == LinkKind::Function && is_row && is_volatile() {
                next = Mode::Written;
            } else if next >= Mode::Inserted && !is_row {
                // A function or a type among what a rule or a default names.
                next = Mode::Used;
            }
            if world.is_node(to) {
                self.visit((to.clone(), next), is_end, Some(spot), || told(link, next, *is_forward));
            }
        }
    }
}
