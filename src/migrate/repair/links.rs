use serde::Deserialize;

/// What hangs on what in a database, by names without schemas; objects of the system are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Links {
    /// The schemas in which names without one are looked for; whether they are there does not matter.
    pub path: Vec<String>,
    /// Tables, views, sequences.
    pub relations: Vec<String>,
    /// Types, domains, indexes.
    pub others: Vec<String>,
    /// Of the relations, those whose rows are on another server.
    pub foreign: Vec<String>,
    /// Whose definition reads the server's own catalog, or calls what reaches further than its arguments.
    pub opaque: Vec<String>,
    pub functions: Vec<Function>,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Function {
    pub name: String,
    pub language: String,
    pub is_volatile: bool,
    pub is_immutable: bool,
    pub is_aggregate: bool,
    /// The extension that brought it.
    pub extension: Option<String>,
    /// Empty where it was parsed when it was made: then it has links.
    pub body: String,
}

/// That `from` has to do with `to`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Link {
    pub kind: LinkKind,
    pub from: String,
    pub to: String,
    /// The trigger's, rule's, policy's or constraint's name.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    Trigger,
    /// Any rule but a view's own.
    Rule,
    View,
    Policy,
    /// A default that takes from a sequence.
    Default,
    /// A view, domain or check that takes from a sequence.
    Draws,
    /// Types, defaults, generated columns, checks, keys of indexes and partitions.
    Column,
    /// A function that was parsed when it was made.
    Function,
    /// From the sequence to the table whose column owns it.
    Sequence,
    /// From an index to its table.
    Index,
    /// From the table that refers to the one that is referred to.
    ForeignKey,
    /// The same, where rows follow (`ON DELETE CASCADE`, `ON UPDATE SET NULL`, …).
    Cascade,
    /// From a child or partition to its parent.
    Child,
    /// From nothing: an event trigger's function.
    Event,
    /// From nothing: the function of an operator, a cast or an operator class.
    Operator,
    /// One object under two names, or a table made like another.
    Renamed,
}

/// How a name is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// It is only named: nothing is read or run.
    Known,
    /// Rows of it are looked for, by a foreign key: only what takes rows away or changes them matters.
    Checked,
    /// It is read, or called.
    Used,
    /// Its definition changes.
    Defined,
    /// Rows come.
    Inserted,
    /// Rows change or go.
    Written,
}

impl Mode {
    pub(super) fn is_change(self) -> bool {
        self >= Self::Defined
    }

    /// Whether the order matters of one that reaches a name so, and another that reaches it as `other`.
    pub(super) fn disturbs(self, other: Self) -> bool {
        match self {
            Self::Written => true,
            Self::Defined | Self::Inserted => other != Self::Checked,
            Self::Known | Self::Checked | Self::Used => false,
        }
    }
}

/// What reaching one end of a link in this mode does to the other; none where nothing.
///
/// `true` in the second place: from there it goes no further.
pub(super) fn follow(kind: LinkKind, mode: Mode, is_forward: bool) -> Option<(Mode, bool)> {
    use LinkKind as K;
    use Mode as M;
    let is_dml = matches!(mode, M::Inserted | M::Written);
    let runs = is_dml || mode == M::Used;
    let found = match (kind, is_forward) {
        (K::Trigger, true) => is_dml.then_some(M::Used),
        (K::Rule, true) => is_dml.then_some(M::Written),
        (K::View, true) => match mode {
            M::Used | M::Defined => Some(M::Used),
            M::Inserted | M::Written => Some(mode),
            M::Known | M::Checked => None,
        },
        (K::Policy, true) => runs.then_some(M::Used),
        (K::Default, true) => is_dml.then_some(M::Written),
        (K::Draws, true) => runs.then_some(M::Written),
        (K::Column, true) => (runs || mode == M::Defined).then_some(M::Used),
        (K::Function, true) => (mode == M::Used).then_some(M::Used),
        (K::Sequence, false) => match mode {
            M::Inserted | M::Written => Some(M::Written),
            M::Defined => Some(M::Defined),
            M::Known | M::Checked | M::Used => None,
        },
        (K::Index, true) => (mode == M::Defined).then_some(M::Defined),
        (K::ForeignKey | K::Cascade, true) => is_dml.then_some(M::Checked),
        (K::ForeignKey, false) => (mode == M::Written).then_some(M::Checked),
        (K::Cascade, false) => (mode == M::Written).then_some(M::Written),
        (K::Child, false) => (mode.is_change() || mode == M::Used).then_some(mode),
        // What reads the parent sees it; nothing more happens to the parent.
        (K::Child, true) => return mode.is_change().then_some((mode, true)),
        (K::Renamed, _) => Some(mode),
        (K::Event | K::Operator, true) => Some(M::Used),
        _ => None,
    };
    found.map(|mode| (mode, false))
}

/// How a link is told in the reason of a refusal: a clause that follows the name it comes from.
pub(super) fn told(link: &Link, mode: Mode, is_forward: bool) -> String {
    let Link { kind, from, to, detail } = link;
    match (kind, is_forward) {
        (LinkKind::Trigger, _) => format!("whose trigger {detail} calls {to}()"),
        (LinkKind::Rule, _) => format!("whose rule {detail} has to do with {to}"),
        (LinkKind::View, _) => format!("which is a view of {to}"),
        (LinkKind::Policy, _) => format!("whose policy {detail} asks {to}"),
        (LinkKind::Default, _) => format!("whose default takes from {to}"),
        (LinkKind::Draws, _) => format!("which takes from {to}"),
        (LinkKind::Column, _) => format!("which is defined with {to}"),
        (LinkKind::Function, _) => format!("which has to do with {to}"),
        (LinkKind::Sequence, _) => format!("which takes from {from}"),
        (LinkKind::Index, _) => format!("which is an index of {to}"),
        (LinkKind::ForeignKey | LinkKind::Cascade, true) => format!("which refers to {to}"),
        (LinkKind::ForeignKey, false) => format!("to which {from} refers"),
        (LinkKind::Cascade, false) if mode == Mode::Written => format!("whose changes {from} follows"),
        (LinkKind::Cascade, false) => format!("to which {from} refers"),
        (LinkKind::Child, true) => format!("which is a part of {to}"),
        (LinkKind::Child, false) => format!("of which {from} is a part"),
        (LinkKind::Event, _) => format!("on which the event trigger {detail} calls {to}()"),
        (LinkKind::Operator, _) => format!("for which {detail} may call {to}()"),
        (LinkKind::Renamed, true) => format!("which goes with {to}"),
        (LinkKind::Renamed, false) => format!("which goes with {from}"),
    }
}
