use super::local::client_token;
use super::tags::{EXPIRES_AT, Ownership, ownership};
use super::{BastionError, Generation, Group, Identity, Instance, InstanceState, KeyPair, Offer, Place, Rule, Tags};

/// Between the key pair and its instance `up` makes a group and some rules, each of which may have to be repeated for a
/// minute.
const FRESH: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// What stands, in the cloud and on the laptop.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    pub instances: Vec<Instance>,
    /// All groups with our name, also those that are not ours.
    pub groups: Vec<Group>,
    pub rules: Vec<Rule>,
    /// All key pairs with our name, also those that are not ours.
    pub key_pairs: Vec<KeyPair>,
    pub generation: Option<Generation>,
    /// True while keys or caches of a bastion are on the laptop.
    pub local_files: bool,
    /// Where we look.
    pub here: Place,
    /// Where the keys on the laptop were made for; old files do not tell.
    pub kept_for: Option<Place>,
    /// All rules of the database's group; asked for only when ours is missing.
    pub database_rules: Vec<Rule>,
    /// Asked for only when an instance has to be launched.
    pub offers: Vec<Offer>,
    pub condemned: Option<Condemned>,
}

/// What is to be replaced, however well AWS says that it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condemned {
    /// All of ours: the user says so.
    All,
    /// One that was found to be of no use; its owner has to agree.
    One { instance_id: String, reason: &'static str },
}

/// The part of [`Observed`] that is ours, and what else carries our name or our tags; refused if the keys here belong to a
/// bastion in another place.
#[derive(Default)]
pub(super) struct Ours<'a> {
    pub(super) live: Vec<&'a Instance>,
    /// Still on its way out.
    pub(super) leaving: Vec<&'a Instance>,
    pub(super) gone: Vec<&'a Instance>,
    pub(super) groups: Vec<&'a Group>,
    pub(super) foreign_groups: Vec<&'a Group>,
    pub(super) rules: Vec<&'a Rule>,
    /// The one in use, and what a race may have left beside it.
    pub(super) key_pairs: Vec<&'a KeyPair>,
    pub(super) foreign_key_pairs: Vec<&'a KeyPair>,
    /// Live instances of other principals under our alias, and the principal of the first.
    pub(super) namesakes: Vec<(&'a Instance, String)>,
    /// What carries our tags and is another principal's: any of them can give them to what they make.
    pub(super) others: Vec<String>,
}

impl Observed {
    pub(super) fn ours(&self, identity: &Identity) -> Result<Ours<'_>, BastionError> {
        if let Some(there) = self.kept_for.as_ref().filter(|there| **there != self.here) {
            return Err(BastionError::Elsewhere { here: self.here.clone(), there: there.clone() });
        }
        let mut ours = Ours::default();
        for instance in &self.instances {
            match instance.state {
                // Another's that is gone is of no concern any more.
                InstanceState::Terminated => ours.gone.push(instance),
                state => match ownership(&instance.tags, identity) {
                    Ownership::Ours if state == InstanceState::ShuttingDown => ours.leaving.push(instance),
                    Ownership::Ours => ours.live.push(instance),
                    Ownership::Foreign => {}
                    Ownership::AnotherPrincipal(principal) => {
                        ours.others.push(another(&format!("instance {}", instance.id), &principal, identity));
                        ours.namesakes.push((instance, principal));
                    }
                },
            }
        }
        let others = &mut ours.others;
        let mut is_ours = |tags: &Tags, resource: &dyn Fn() -> String| match ownership(tags, identity) {
            Ownership::Ours => true,
            Ownership::Foreign => false,
            Ownership::AnotherPrincipal(principal) => {
                others.push(another(&resource(), &principal, identity));
                false
            }
        };
        (ours.groups, ours.foreign_groups) =
            self.groups.iter().partition(|group| is_ours(&group.tags, &|| format!("security group {}", group.id)));
        // The rules of another's group are told with it.
        let is_told = |rule: &&Rule| !ours.foreign_groups.iter().any(|group| group.id == rule.group_id);
        let rules = self.rules.iter().filter(is_told);
        ours.rules = rules.filter(|rule| is_ours(&rule.tags, &|| rule.to_string())).collect();
        (ours.key_pairs, ours.foreign_key_pairs) =
            self.key_pairs.iter().partition(|pair| is_ours(&pair.tags, &|| format!("key pair {}", pair.name)));
        ours.key_pairs.sort_by_key(|pair| (!self.is_own_pair(pair), pair.name.clone()));
        ours.namesakes.retain(|(instance, _)| instance.state.is_live());
        Ok(ours)
    }
}

fn another(resource: &str, principal: &str, identity: &Identity) -> String {
    format!("{resource} is another AWS principal's ({principal}) under the alias `{}`; it stays", identity.scope.owner)
}

impl<'a> Ours<'a> {
    pub(super) fn key_pair(&self) -> Option<&'a KeyPair> {
        self.key_pairs.first().copied()
    }

    /// True when the keys here are those of something that stands under another principal: this person's, perhaps, with
    /// another role.
    pub(super) fn keys_are_in_use(&self, observed: &Observed) -> bool {
        let of_instance = |(instance, _): &(&Instance, String)| {
            observed.generation.as_ref().is_some_and(|generation| instance.is_of(generation))
        };
        self.namesakes.iter().any(of_instance) || self.foreign_key_pairs.iter().any(|pair| observed.is_own_pair(pair))
    }

    pub(super) fn is_in_own_group(&self, rule: &Rule) -> bool {
        self.groups.iter().any(|group| group.id == rule.group_id)
    }
}

impl Observed {
    /// Our key pair, if it was made minutes ago on another computer and no instance has been launched with it: `up` may
    /// be at work there right now.
    pub(super) fn pair_of_another_run<'a>(&self, ours: &Ours<'a>, now: jiff::Timestamp) -> Option<&'a KeyPair> {
        let pair = ours.key_pair().filter(|_| ours.live.is_empty())?;
        let is_fresh = pair.created_at.is_some_and(|then| now.duration_since(then) < FRESH);
        let token = pair.public_key.as_deref().map(client_token);
        let had_its_instance = self.instances.iter().any(|one| one.client_token.is_some() && one.client_token == token);
        (is_fresh && !had_its_instance && !self.is_own_pair(pair)).then_some(pair)
    }

    /// True when the private half is on this computer.
    pub(super) fn is_own_pair(&self, pair: &KeyPair) -> bool {
        let key = pair.public_key.as_deref();
        self.generation.as_ref().is_some_and(|mine| key.is_some_and(|key| mine.is_public_key(key)))
    }

    /// The id of the key pair that this computer imported, where nobody need ask EC2 for it: while the instance that was
    /// launched with it has not ended, no other run replaces it without ending that instance.
    pub(super) fn own_key_pair_id(&self, identity: &Identity) -> Option<&str> {
        let mine = self.generation.as_ref()?;
        let is_ours = |one: &Instance| ownership(&one.tags, identity) == Ownership::Ours;
        let is_there = |one: &Instance| one.state != InstanceState::Terminated && one.is_of(mine) && is_ours(one);
        mine.key_pair_id.as_deref().filter(|_| self.instances.iter().any(is_there))
    }

    /// As [`Self::may_be_a_colleagues`], of what stands without an instance.
    pub(super) fn leftovers_may_be_a_colleagues(&self, identity: &Identity, ours: &Ours) -> bool {
        let had = |instance: &Instance| self.generation.as_ref().is_some_and(|mine| instance.is_of(mine));
        let is_of_this_computer = ours.key_pair().is_some_and(|pair| self.is_own_pair(pair))
            || ours.gone.iter().chain(&ours.leaving).any(|instance| had(instance));
        identity.principal.is_role_only() && !is_of_this_computer
    }

    /// True when nothing tells that the instance is this person's: the principal is a role that others have as well,
    /// and the key is not on this computer.
    pub(super) fn may_be_a_colleagues(&self, identity: &Identity, instance: &Instance) -> bool {
        let is_of_this_computer = self.generation.as_ref().is_some_and(|generation| instance.is_of(generation));
        identity.principal.is_role_only() && !is_of_this_computer
    }
}

impl Instance {
    /// When it powers itself off, as its tag says.
    pub fn expires_at(&self) -> Option<jiff::Timestamp> {
        self.tags.get(EXPIRES_AT)?.parse().ok()
    }

    /// For a question about it: ` (launched 3h 20m ago)`.
    pub(super) fn age(&self, now: jiff::Timestamp) -> String {
        let Some(launched_at) = self.launched_at else { return String::new() };
        let minutes = now.duration_since(launched_at).as_mins().max(0);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let span = if hours > 0 { format!("{hours}h {minutes}m") } else { format!("{minutes}m") };
        format!(" (launched {span} ago)")
    }

    pub(super) fn carries(&self, group: &Group) -> bool {
        self.group_ids.contains(&group.id)
    }

    pub(super) fn is_of(&self, generation: &Generation) -> bool {
        self.client_token.as_deref().is_some_and(|token| generation.is_token(token))
            || generation.instance_id.as_deref() == Some(&self.id)
    }
}
