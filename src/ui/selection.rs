use crate::system::toml_key;

/// What chose the environment on this command line, so that advice can be pasted and means the same one.
///
/// Hints are written without it (`devdb tunnel up`, `[environment.NAME.tunnel]`); the printer adds it.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The selecting flags as they were typed: `-e staging --profile shop`.
    pub flags: String,
    /// The selected environment's name.
    pub environment: String,
}

impl Selection {
    /// The hint for this very command line.
    pub(super) fn apply(&self, hint: &str) -> String {
        let mut text = hint.to_owned();
        if !self.flags.is_empty() {
            for opening in ["`devdb ", "$(devdb "] {
                text = text.replace(opening, &format!("{opening}{} ", self.flags));
            }
        }
        if !self.environment.is_empty() {
            text = text.replace("environment.NAME", &format!("environment.{}", toml_key(&self.environment)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_hint_means_the_same_environment() {
        let selection = Selection { flags: "-e staging".into(), environment: "staging".into() };
        assert_eq!(selection.apply("run `devdb tunnel up`"), "run `devdb -e staging tunnel up`");
        assert_eq!(selection.apply("`eval \"$(devdb env)\"`"), "`eval \"$(devdb -e staging env)\"`");
        assert_eq!(
            selection.apply("set it under [environment.NAME.tunnel]"),
            "set it under [environment.staging.tunnel]"
        );
        assert_eq!(selection.apply("in devdb.toml"), "in devdb.toml");
        assert_eq!(Selection::default().apply("run `devdb status`"), "run `devdb status`");
    }
}
