/// A migration's files as another commit has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFiles {
    /// The commit that changed them last, in full.
    pub commit: String,
    pub author: String,
    /// A branch that holds the commit; none where only a tag or the reflog does.
    pub branch: Option<String>,
    /// File name and content, as far as there are such files: `NAME.up.sql` and `NAME.down.sql`, or `NAME.sql`.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What version control knows about the migrations folder. Not to know is always an answer.
pub trait FileHistory: Send + Sync {
    /// The commit that is checked out; none outside of a repository.
    fn head(&self) -> Option<String>;

    /// The commit, in full, that brought the files of this migration here, and its author.
    fn written(&self, name: &str) -> Option<(String, String)>;

    /// The newest commit on any branch that has files of this migration.
    fn find(&self, name: &str) -> Option<FoundFiles>;
}
