/// What somebody should look at in single statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    TextChanges,
    ValueChanges,
    Date,
    Repeats,
    ByHand,
    LineEnds,
}

impl Mark {
    fn told(self) -> &'static str {
        match self {
            Self::TextChanges => "the text changes from run to run, and this is one of them",
            Self::ValueChanges => "a value changes from run to run (time or chance), and this is one of them",
            Self::Date => "a Date is written in the time zone of the import",
            Self::Repeats => "a parameter was used twice, and now stands there as two constants",
            Self::ByHand => "values stand as constants in SQL that was written by hand",
            Self::LineEnds => "CRLF line ends are read as LF by devdb",
        }
    }
}

/// The marks of a file, with the numbers of the statements.
#[derive(Debug, Default)]
pub(super) struct Marks(Vec<(Mark, usize)>);

impl Marks {
    pub(super) fn mark(&mut self, mark: Mark, number: usize, applies: bool) {
        if applies {
            self.0.push((mark, number));
        }
    }

    /// Each recording has another text.
    pub(super) fn varies(&self) -> bool {
        self.0.iter().any(|(mark, _)| matches!(mark, Mark::TextChanges | Mark::ValueChanges))
    }

    /// One sentence a mark.
    pub(super) fn told(mut self) -> Vec<String> {
        self.0.sort_unstable();
        let groups = self.0.chunk_by(|(one, _), (other, _)| one == other);
        groups.map(|group| format!("{} ({})", group[0].0.told(), listed(group))).collect()
    }
}

/// `statements 1 to 3, 7`
fn listed(group: &[(Mark, usize)]) -> String {
    let runs = group.chunk_by(|(_, one), (_, other)| one + 1 == *other).map(|run| match run {
        [(_, only)] => only.to_string(),
        [(_, first), .., (_, last)] => format!("{first} to {last}"),
        [] => String::new(),
    });
    let word = if group.len() == 1 { "statement" } else { "statements" };
    format!("{word} {}", runs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gathered() {
        let mut marks = Marks::default();
        for number in [1, 2, 3, 7] {
            marks.mark(Mark::Date, number, true);
            marks.mark(Mark::ValueChanges, number, number == 2);
        }
        let told = marks.told();
        assert!(told[0].ends_with("this is one of them (statement 2)"), "{told:?}");
        assert_eq!(told[1], "a Date is written in the time zone of the import (statements 1 to 3, 7)");
    }
}
