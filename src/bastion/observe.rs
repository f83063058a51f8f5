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
    pub key_pair: Option<KeyPair>,
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

/// The part of [`Observed`] that is ours, and the refusal if somebody else's stands under our alias,
/// or if the keys here belong to a bastion in another place.
pub(super) struct Ours<'a> {
    pub(super) live: Vec<&'a Instance>,
    /// Still on its way out.
    pub(super) leaving: Vec<&'a Instance>,
    pub(super) gone: Vec<&'a Instance>,
    pub(super) groups: Vec<&'a Group>,
    pub(super) foreign_groups: Vec<&'a Group>,
    pub(super) rules: Vec<&'a Rule>,
    pub(super) key_pair: Option<&'a KeyPair>,
    pub(super) foreign_key_pair: Option<&'a KeyPair>,
}

impl Observed {
    pub(super) fn ours(&self, identity: &Identity) -> Result<Ours<'_>, BastionError> {
        if let Some(there) = self.kept_for.as_ref().filter(|there| **there != self.here) {
            return Err(BastionError::Elsewhere { here: self.here.clone(), there: there.clone() });
        }
        let is_ours = |tags: &Tags, resource: &dyn Fn() -> String| match ownership(tags, identity) {
            Ownership::Ours => Ok(true),
            Ownership::Foreign => Ok(false),
            Ownership::AnotherPrincipal(principal) => Err(BastionError::AnotherPrincipal {
                resource: resource(),
                principal,
                owner: identity.scope.owner.clone(),
            }),
        };
        let mut ours = Ours {
            live: Vec::new(),
            leaving: Vec::new(),
            gone: Vec::new(),
            groups: Vec::new(),
            foreign_groups: Vec::new(),
            rules: Vec::new(),
            key_pair: None,
            foreign_key_pair: None,
        };
        for instance in &self.instances {
            // Somebody else's instance that is gone is nobody's concern any more.
            if instance.state != InstanceState::Terminated && !is_ours(&instance.tags, &|| instance.id.clone())? {
                continue;
            }
            match instance.state {
                InstanceState::Terminated => ours.gone.push(instance),
                InstanceState::ShuttingDown => ours.leaving.push(instance),
                _ => ours.live.push(instance),
            }
        }
        for group in &self.groups {
            let list = if is_ours(&group.tags, &|| format!("security group {}", group.id))? {
                &mut ours.groups
            } else {
                &mut ours.foreign_groups
            };
            list.push(group);
        }
        for rule in &self.rules {
            if is_ours(&rule.tags, &|| format!("security group rule {}", rule.id))? {
                ours.rules.push(rule);
            }
        }
        if let Some(pair) = &self.key_pair {
            if is_ours(&pair.tags, &|| format!("key pair {}", pair.name))? {
                ours.key_pair = Some(pair);
            } else {
                ours.foreign_key_pair = Some(pair);
            }
        }
        Ok(ours)
    }
}

impl Ours<'_> {
    pub(super) fn is_in_own_group(&self, rule: &Rule) -> bool {
        self.groups.iter().any(|group| group.id == rule.group_id)
    }
}

impl Observed {
    /// Our key pair, if it was made minutes ago on another computer and no instance has been launched with it: `up` may
    /// be at work there right now.
    pub(super) fn pair_of_another_run<'a>(&self, ours: &Ours<'a>, now: jiff::Timestamp) -> Option<&'a KeyPair> {
        let pair = ours.key_pair.filter(|_| ours.live.is_empty())?;
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
    pub(super) fn own_key_pair_id(&self) -> Option<&str> {
        let mine = self.generation.as_ref()?;
        let is_there = |one: &Instance| one.state != InstanceState::Terminated && one.is_of(mine);
        mine.key_pair_id.as_deref().filter(|_| self.instances.iter().any(is_there))
    }

    /// As [`Self::may_be_a_colleagues`], of what stands without an instance.
    pub(super) fn leftovers_may_be_a_colleagues(&self, identity: &Identity, ours: &Ours) -> bool {
        let had = |instance: &Instance| self.generation.as_ref().is_some_and(|mine| instance.is_of(mine));
        let is_of_this_computer = ours.key_pair.is_some_and(|pair| self.is_own_pair(pair))
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
