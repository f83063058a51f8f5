use super::deed::Deed;
use super::links::Mode;
use crate::migrate::Script;
use std::collections::BTreeSet;

/// What a script touches, read from its words alone; [`Proof`](super::proof::Proof) adds what hangs on that.
///
/// What is not understood has no footprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    pub(super) deeds: Vec<Deed>,
}

impl Footprint {
    /// # Errors
    /// The first statement that is not understood, shortened.
    pub fn of(script: &Script) -> Result<Self, String> {
        let deed = |at: usize| Deed::of(script.sql(&(at..at + 1))).ok_or_else(|| first_line(&script.excerpt(at)));
        let deeds = (0..script.statements().len()).map(deed).collect::<Result<_, _>>()?;
        Ok(Self { deeds })
    }

    /// What is made, changed, filled or dropped, without its schema, for a line of a plan.
    pub fn owned(&self) -> impl Iterator<Item = &str> {
        let touched = self.deeds.iter().flat_map(|deed| &deed.touched);
        touched.map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>().into_iter()
    }

    /// Whether the names that the server makes up for this one's tables and columns (`t_a_idx`, `t_a_fkey`) may meet
    /// those of the other: then the order decides which is numbered.
    pub(super) fn names_may_meet(&self, other: &Self) -> Option<[String; 2]> {
        one_sided(self, other).or_else(|| one_sided(other, self))
    }
}

fn one_sided(left: &Footprint, right: &Footprint) -> Option<[String; 2]> {
    // Longer ones are cut, so that names which differ only at the end become the same (PostgreSQL, `makeObjectName`).
    const CUT: usize = 28;
    const ENDINGS: [&str; 8] = ["pkey", "key", "idx", "seq", "check", "fkey", "excl", "not_null"];
    let makers = left.deeds.iter().filter(|deed| deed.makes_names);
    for deed in makers {
        let Some((table, _)) = deed.touched.first() else { continue };
        let defined = right.deeds.iter().flat_map(|other| other.touched.iter().map(move |touch| (other, touch)));
        for (other, (name, _)) in defined.filter(|(_, (_, mode))| *mode == Mode::Defined) {
            let same = table.bytes().zip(name.bytes()).take_while(|(left, right)| left == right).count();
            let is_cut = table != name && same >= CUT && other.makes_names;
            let rest = name.strip_prefix(table.as_str()).and_then(|rest| rest.strip_prefix('_'));
            let begins = |long: &str, short: &str| {
                !short.is_empty()
                    && long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            let meets = rest.is_some_and(|rest| {
                let mut words = deed.mentioned.iter().map(String::as_str);
                ENDINGS.iter().any(|ending| rest.trim_end_matches(|at: char| at.is_ascii_digit()) == *ending)
                    || words.any(|word| begins(rest, word) || begins(word, rest))
            });
            if is_cut || meets {
                return Some([table.clone(), name.clone()]);
            }
        }
    }
    None
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
