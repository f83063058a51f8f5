use super::deed::{Deed, Scope};
use super::footprint::Footprint;
use super::links::Links;
use super::reach::{Player, Reach, World};
use crate::migrate::Script;
use std::collections::BTreeMap;

/// Why the order of two migrations matters, or may matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Both have to do with these, and this is how, where that is not in their words.
    Shared { names: Vec<String>, how: Vec<String> },
    /// Names that the server makes up for these may be the same.
    Names([String; 2]),
    /// What this statement does, or what hangs on what it touches, cannot be told.
    Opaque(String),
}

/// A migration that a repair is about.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    pub name: String,
    /// What was executed.
    pub ran: Vec<&'a Script>,
    /// What would run: its up part, or the down part that takes it away.
    pub runs: Vec<&'a Script>,
}

/// Decides which migrations can run in either order and leave the same.
///
/// Two are apart when nothing that one may change is anything that the other may change or look at. What they may
/// reach is what their words name, and what hangs on that: in the catalog as it is, and in what any of the migrations
/// concerned makes. What one of them took away does not show in the catalog any more, so it counts as not known.
pub struct Proof {
    footprints: BTreeMap<String, Footprint>,
    reaches: BTreeMap<String, Result<Reach, String>>,
}

impl Proof {
    pub fn new(parts: &[Part<'_>], live: &Links) -> Self {
        let read: Vec<Result<[Footprint; 2], String>> = parts.iter().map(|part| footprints(part, live)).collect();
        let mut players = Vec::new();
        for (part, read) in parts.iter().zip(&read) {
            let [ran, runs] = match read {
                Ok([ran, runs]) => [&ran.deeds[..], &runs.deeds[..]],
                Err(_) => [&[][..]; 2],
            };
            players.push(Player { name: &part.name, deeds: ran, is_executed: true });
            players.push(Player { name: &part.name, deeds: runs, is_executed: false });
        }
        let mut world = World::new(live, &players);
        for (part, _) in parts.iter().zip(&read).filter(|(part, read)| part.is_executed() && read.is_err()) {
            let text: String = part.ran.iter().map(|script| script.text().to_lowercase()).collect();
            let is_wide = ["event", "operator", "cast"].iter().any(|word| text.contains(word));
            let scope = if is_wide { Scope::Everything } else { Scope::Anything };
            world.forget(scope, format!("what hung on it before {} is not known", part.name));
        }
        let (mut footprints, mut reaches) = (BTreeMap::new(), BTreeMap::new());
        for (part, read) in parts.iter().zip(&read) {
            let whole =
                read.as_ref().map(|[ran, runs]| Footprint { deeds: [&ran.deeds[..], &runs.deeds[..]].concat() });
            let reach = whole.as_ref().map_err(|why| (*why).clone());
            let reach = reach.and_then(|footprint| {
                Reach::of(&footprint.deeds, &world).map_err(|why| format!("{} {why}", part.name))
            });
            reaches.insert(part.name.clone(), reach);
            footprints.extend(whole.ok().map(|footprint| (part.name.clone(), footprint)));
        }
        Self { footprints, reaches }
    }

    /// What is changed by the words of one, for a line of a plan.
    pub fn owned(&self, name: &str) -> impl Iterator<Item = String> {
        self.footprints.get(name).into_iter().flat_map(Footprint::owned).map(str::to_owned)
    }

    pub fn conflict(&self, first: &str, second: &str) -> Option<Conflict> {
        let reach = |name: &str| match self.reaches.get(name) {
            Some(Ok(reach)) => Ok(reach),
            Some(Err(why)) => Err(Conflict::Opaque(why.clone())),
            None => Err(Conflict::Opaque(format!("what {name} did is not known"))),
        };
        let (left, right) = match (reach(first), reach(second)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(conflict), _) | (_, Err(conflict)) => return Some(conflict),
        };
        if let Some((names, [one, two])) = left.shared(right) {
            let how = [(first, one), (second, two)].into_iter();
            let how = how.filter_map(|(name, way)| Some(format!("{name} {}", way?))).collect();
            return Some(Conflict::Shared { names, how });
        }
        self.footprints.get(first)?.names_may_meet(self.footprints.get(second)?).map(Conflict::Names)
    }
}

impl Part<'_> {
    fn is_executed(&self) -> bool {
        !self.ran.is_empty() || self.runs.is_empty()
    }
}

/// Of what ran, and of what would run.
fn footprints(part: &Part<'_>, live: &Links) -> Result<[Footprint; 2], String> {
    if part.ran.is_empty() && part.runs.is_empty() {
        return Err(format!("what {} did is not known", part.name));
    }
    let of = |scripts: &[&Script]| -> Result<Footprint, String> {
        let mut deeds: Vec<Deed> = Vec::new();
        for script in scripts {
            deeds.extend(Footprint::of(script)?.deeds);
        }
        let leads = |deed: &Deed| deed.schema.clone().filter(|schema| live.path.contains(schema));
        match deeds.iter().find_map(leads) {
            Some(schema) => Err(format!("{} creates the schema {schema}, where names without one lead", part.name)),
            None => Ok(Footprint { deeds }),
        }
    };
    Ok([of(&part.ran)?, of(&part.runs)?])
}
