//! Which of our variables a child gets. What a variable holds stays readable in `/proc/PID/environ` for as long as the
//! child lives, so a secret goes only to the program that it is for.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

/// A kind of child. Names that end in `*` are beginnings of names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Gets {
    /// What any program needs to run in this person's surroundings: `ps`, and a question to a tool.
    #[default]
    Basics,
    /// git: besides, where its owner's own configuration lies. No `GIT_DIR` of a hook: the folder decides.
    Git,
    /// Supervisor, watchdog, `tunnel heal`, and the ssh of a tunnel: besides, ways out to the internet, and where AWS
    /// keeps its logins. They live for weeks, so credentials that are given as variables do not come along. No agent and
    /// no askpass: what ssh would ask or use behind our back.
    Tunnel,
    /// An ssh that ends with this command: besides, the agent and what asks for a passphrase.
    Ssh,
    /// Node.js with the migrations of a project, which may read variables of any name: all that look like no secret.
    Project,
    /// A program that the person names (`exec`, `psql`): all of them.
    Everything,
}

const BASICS: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LOCALE_ARCHIVE",
    "XDG_*",
    "TERM",
    "TERMINFO*",
    "COLORTERM",
    "NO_COLOR",
    "LD_*",
    "DYLD_*",
    "__CF_USER_TEXT_ENCODING",
];

const GIT: &[&str] = &[
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_*",
    "GIT_CONFIG_VALUE_*",
];

const TUNNEL: &[&str] = &[
    "DEVDB_*",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_LOGIN_CACHE_DIRECTORY",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL*",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_*",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_SDK_LOAD_CONFIG",
    "AWS_RETRY_MODE",
    "AWS_MAX_ATTEMPTS",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_EC2_METADATA_*",
    "AWS_CONTAINER_CREDENTIALS_*",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

const AGENT: &[&str] = &["SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS*", "DISPLAY", "WAYLAND_DISPLAY", "KRB5*"];

const USUAL_PATH: &str = "/usr/bin:/bin";

/// What speaks of a secret anywhere in a name.
const SECRET: &[&str] = &[
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASSFILE",
    "CREDENTIAL",
    "APIKEY",
    "PRIVATE",
    "BEARER",
    "COOKIE",
    "DATABASE_URL",
];

/// And as a word of its own: `NODE_PATH` and `GIT_AUTHOR_NAME` are no secrets.
const SECRET_WORDS: &[&str] = &["AUTH", "KEY", "PASS", "PAT", "PWD", "DSN"];

impl Gets {
    /// What of our variables the child gets.
    pub fn of(self, ours: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
        if self == Self::Everything {
            return ours.collect();
        }
        let passed = ours.filter(|(name, value)| self.passes(name, value));
        passed.map(|(name, value)| (name.clone(), absolute(&name, value))).collect()
    }

    fn passes(self, name: &OsStr, value: &OsStr) -> bool {
        let Some(name) = name.to_str() else { return false };
        let lists: &[&[&str]] = match self {
            Self::Basics => &[BASICS],
            Self::Git => &[BASICS, GIT],
            Self::Tunnel => &[BASICS, TUNNEL],
            Self::Ssh => &[BASICS, TUNNEL, AGENT],
            Self::Project => return !is_secret(name, &value.to_string_lossy()),
            Self::Everything => return true,
        };
        let is = |known: &&str| known.strip_suffix('*').map_or(name == *known, |begins| name.starts_with(begins));
        lists.iter().any(|list| list.iter().any(is))
    }
}

/// By its name, or because it is a URL with a password.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let authority = value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let has_password =
        authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'));
    let is_word = |word: &str| SECRET_WORDS.contains(&word);
    let is_named = SECRET.iter().any(|part| name.contains(part))
        || name.split(|letter: char| !letter.is_alphanumeric()).any(is_word);
    has_password || (is_named && name != "PWD")
}

/// Where programs and their libraries are looked for, as the child gets it. A relative folder, and so an empty one, lies
/// in the folder where the child runs, and that may be a repository that was just cloned.
fn absolute(name: &OsStr, value: OsString) -> OsString {
    let name = name.as_encoded_bytes();
    let (is_programs, is_loaders) = (name == b"PATH", name.starts_with(b"LD_") || name.starts_with(b"DYLD_"));
    let is_folders = is_programs || (is_loaders && name.ends_with(b"PATH"));
    let is_files = matches!(name, b"LD_PRELOAD" | b"LD_AUDIT" | b"DYLD_INSERT_LIBRARIES");
    if !is_folders && !is_files {
        return value;
    }
    // ld.so(8): the loader takes semicolons between folders too, and blanks between files; `$ORIGIN` is the program's own.
    let ends = |byte: &u8| *byte == b':' || (is_loaders && *byte == b';') || (is_files && *byte == b' ');
    let stays = |part: &&[u8]| {
        part.starts_with(b"/") || (is_loaders && part.starts_with(b"$")) || (is_files && !part.contains(&b'/'))
    };
    let kept: Vec<&[u8]> = value.as_encoded_bytes().split(ends).filter(|part| !part.is_empty()).filter(stays).collect();
    // Where PATH is empty, programs are looked for in the folder where the child runs.
    if kept.is_empty() && is_programs { USUAL_PATH.into() } else { OsString::from_vec(kept.join(&b':')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[(&str, &str)] = &[
        ("PATH", "node_modules/.bin:/usr/bin::.:/bin"),
        ("HOME", "/home/ada"),
        ("LC_ALL", "C"),
        ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ("DEVDB_ENVIRONMENT", "staging"),
        ("AWS_PROFILE", "shop"),
        ("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:5000"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("SSH_AUTH_SOCK", "/tmp/agent"),
        ("DISPLAY", ":0"),
        ("GIT_CONFIG_GLOBAL", "/home/ada/.gitconfig"),
        ("GIT_DIR", "/elsewhere"),
        ("GIT_SSH_COMMAND", "evil"),
        ("NODE_ENV", "development"),
        ("DB_SCHEMA", "shop"),
        ("NODE_PATH", "/usr/lib/node"),
        ("PWD", "/home/ada/shop"),
        ("GIT_AUTHOR_NAME", "ada"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "s"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s"),
        ("AWS_BEARER_TOKEN_BEDROCK", "s"),
        ("PGPASSWORD", "s"),
        ("PGPASSFILE", "/home/ada/.pgpass"),
        ("DATABASE_URL", "postgres://db/shop"),
        ("GITHUB_TOKEN", "s"),
        ("STRIPE_API_KEY", "s"),
        ("SLACK_PAT", "s"),
        ("DB_PASS", "s"),
        ("SENTRY_DSN", "s"),
        ("MAIN_DB", "postgres://ada:s@db/shop?x=@"),
        ("npm_config_//registry/:_authToken", "s"),
    ];

    fn names(gets: Gets) -> Vec<&'static str> {
        let ours = OURS.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let given = gets.of(ours);
        OURS.iter().map(|(name, _)| *name).filter(|name| given.iter().any(|(given, _)| given == *name)).collect()
    }

    #[test]
    fn each_kind_of_child_gets_what_it_needs_and_no_secret() {
        let basics = ["PATH", "HOME", "LC_ALL", "XDG_RUNTIME_DIR"];
        let tunnel =
            ["DEVDB_ENVIRONMENT", "AWS_PROFILE", "AWS_ENDPOINT_URL_EC2", "AWS_WEB_IDENTITY_TOKEN_FILE", "HTTPS_PROXY"];
        assert_eq!(names(Gets::Basics), basics);
        assert_eq!(names(Gets::Git), [&basics[..], &["GIT_CONFIG_GLOBAL"]].concat());
        assert_eq!(names(Gets::Tunnel), [&basics[..], &tunnel].concat());
        assert_eq!(names(Gets::Ssh), [&basics[..], &tunnel, &["SSH_AUTH_SOCK", "DISPLAY"]].concat());
        assert_eq!(names(Gets::Everything).len(), OURS.len());
        let project = names(Gets::Project);
        assert!(
            ["DB_SCHEMA", "NODE_ENV", "NODE_PATH", "PWD", "GIT_AUTHOR_NAME", "HTTPS_PROXY"]
                .iter()
                .all(|name| project.contains(name)),
            "{project:?}"
        );
        let secrets = OURS.iter().map(|(name, _)| *name).skip_while(|name| *name != "AWS_ACCESS_KEY_ID");
        assert!(secrets.clone().count() > 10 && secrets.clone().all(|name| !project.contains(&name)), "{project:?}");
    }

    #[test]
    fn a_relative_folder_of_path_is_left_out() {
        let path = |gets: Gets| gets.of([("PATH".into(), OURS[0].1.into())].into_iter()).remove(0).1;
        assert_eq!(path(Gets::Git), "/usr/bin:/bin");
        assert_eq!(path(Gets::Everything), OURS[0].1);
        for nowhere in ["", ".", "node_modules/.bin::"] {
            assert_eq!(absolute("PATH".as_ref(), nowhere.into()), USUAL_PATH);
        }
        let given = |name: &str, value: &str| absolute(name.as_ref(), value.into()).into_string().unwrap();
        assert_eq!(given("LD_LIBRARY_PATH", ":/opt/lib;lib:.:$ORIGIN/../lib:"), "/opt/lib:$ORIGIN/../lib");
        assert_eq!(given("DYLD_FALLBACK_LIBRARY_PATH", "lib:/opt/lib"), "/opt/lib");
        assert_eq!(given("LD_PRELOAD", "libjemalloc.so ./a.so:/opt/b.so"), "libjemalloc.so:/opt/b.so");
        assert_eq!(given("LD_BIND_NOW", "1"), "1");
        assert_eq!(given("LC_ALL", ""), "");
    }
}
