use super::SecretFault;

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("secret `{id}` {fault}")]
    Secret { id: String, fault: SecretFault },
    #[error("no database user is named that IAM may log in")]
    NoTokenUser,
    /// `what`: user or database name.
    #[error("neither the settings nor the secret name the {what}")]
    Incomplete { what: &'static str },
    /// A NUL cannot stand in a variable, and no shell can carry it.
    #[error("the value of {name} contains a NUL character")]
    Unprintable { name: String },
    #[error("the value of {name} cannot be written so that every reader of .env files reads the same")]
    NotForDotenv { name: String },
    #[error("this format cannot take a variable away")]
    CannotUnset,
}
