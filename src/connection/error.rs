#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the secret is JSON but cannot be read as a database secret")]
    SecretUnreadable,
    #[error("the secret has no password")]
    SecretWithoutPassword,
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
