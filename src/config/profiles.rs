//! What the files of the AWS tools say about a profile, read without any of AWS: after a failed login they tell what is
//! wrong, and how that profile signs in.
//!
//! Source: AWS SDKs and Tools reference guide, "Using shared config and credentials files" and "Credential providers".

use super::file::nearest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is wrong with a profile; or, where nothing is, what its login hangs on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFinding {
    #[error("{} is not UTF-8", path.display())]
    NotUtf8 { path: PathBuf },
    #[error("{}:{line} is neither a [section] nor `name = value` below one", path.display())]
    Broken { path: PathBuf, line: usize },
    #[error("there is no profile `{profile}` in {}", path.display())]
    NoProfile { profile: String, path: PathBuf, nearest: Option<String> },
    #[error("profile `{profile}` has `source_profile = {wanted}`, and there is no profile `{wanted}`")]
    NoSource { profile: String, wanted: String, nearest: Option<String> },
    #[error("the profiles lead in a circle: {}", chain.join(" → "))]
    Loop { chain: Vec<String> },
    #[error("profile `{profile}` has `sso_session = {session}`, and there is no [sso-session {session}]")]
    NoSsoSession { profile: String, session: String, nearest: Option<String> },
    #[error("profile `{profile}` lacks `{key}`")]
    Incomplete { profile: String, key: &'static str },
    #[error("profile `{profile}` says nothing about how to sign in")]
    Empty { profile: String },
    #[error("profile `{profile}` asks for the code of an MFA device, which devdb cannot ask you for")]
    Mfa { profile: String },
    #[error("the token file {} of profile `{profile}` cannot be read", path.display())]
    NoTokenFile { profile: String, path: PathBuf },
    #[error("profile `{profile}` signs in {}", way.told())]
    SignsIn { profile: String, way: SignIn },
}

/// How the profile at the end of the chain comes by its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    Sso,
    /// `aws login`
    Console,
    Process,
    Keys,
    WebIdentity,
    /// `credential_source`: only where the surroundings give them.
    Surroundings,
}

impl SignIn {
    fn told(self) -> &'static str {
        match self {
            Self::Sso => "by `aws sso login`",
            Self::Console => "by `aws login`",
            Self::Process => "by the program of its `credential_process`",
            Self::Keys => "with access keys",
            Self::WebIdentity => "with a web identity token",
            Self::Surroundings => "with its `credential_source`",
        }
    }
}

impl ProfileFinding {
    /// Nothing in the files is wrong.
    pub fn is_in_order(&self) -> bool {
        matches!(self, Self::SignsIn { .. })
    }
}

/// Looks at the profile that is named, else at AWS_PROFILE's, else at `default`. Nothing where there are no such files, or
/// where keys in the variables come before any profile.
pub fn diagnose_profile(vars: &BTreeMap<String, String>, named: Option<&str>) -> Option<ProfileFinding> {
    let get = |name: &str| vars.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if named.is_none() && get("AWS_ACCESS_KEY_ID").is_some() {
        return None;
    }
    let profile = named.or_else(|| get("AWS_PROFILE")).unwrap_or("default");
    let place = |variable: &str, name: &str| match get(variable) {
        Some(path) => Some(match path.strip_prefix("~/") {
            Some(rest) => Path::new(get("HOME")?).join(rest),
            None => PathBuf::from(path),
        }),
        None => Some(Path::new(get("HOME")?).join(".aws").join(name)),
    };
    let (config, credentials) =
        (place("AWS_CONFIG_FILE", "config")?, place("AWS_SHARED_CREDENTIALS_FILE", "credentials")?);
    if !config.exists() && !credentials.exists() {
        return None;
    }
    let mut profiles = Profiles { path: config.clone(), ..Profiles::default() };
    let read = profiles.read(&config, true).and_then(|()| profiles.read(&credentials, false));
    Some(read.err().unwrap_or_else(|| profiles.look(profile)))
}

type Section = BTreeMap<String, String>;

#[derive(Default)]
struct Profiles {
    path: PathBuf,
    profiles: BTreeMap<String, Section>,
    sessions: BTreeMap<String, Section>,
}

impl Profiles {
    /// In the configuration a profile is `[profile NAME]` or `[default]`, among the credentials `[NAME]`.
    fn read(&mut self, path: &Path, is_config: bool) -> Result<(), ProfileFinding> {
        let Ok(bytes) = std::fs::read(path) else { return Ok(()) };
        let text = String::from_utf8(bytes).map_err(|_| ProfileFinding::NotUtf8 { path: path.to_owned() })?;
        let mut other = Section::new();
        let mut section: Option<&mut Section> = None;
        for (line, number) in text.lines().zip(1..) {
            let broken = || ProfileFinding::Broken { path: path.to_owned(), line: number };
            let plain = line.trim();
            let is_continued = line.starts_with([' ', '\t']);
            if plain.is_empty() || plain.starts_with(['#', ';']) || (is_continued && section.is_some()) {
                continue;
            }
            if let Some(rest) = plain.strip_prefix('[') {
                let words = rest.split_once(']').ok_or_else(broken)?.0.trim();
                let (kind, name) = words.split_once([' ', '\t']).unwrap_or(("", words));
                let name = name.trim().trim_matches(['"', '\'']).to_owned();
                section = Some(match (kind, is_config) {
                    ("profile", true) => self.profiles.entry(name).or_default(),
                    ("sso-session", true) => self.sessions.entry(name).or_default(),
                    ("", true) if name == "default" => self.profiles.entry(name).or_default(),
                    ("", false) => self.profiles.entry(name).or_default(),
                    _ => &mut other,
                });
                continue;
            }
            let (key, value) = plain.split_once('=').ok_or_else(broken)?;
            let value = value.split_once(" #").or_else(|| value.split_once(" ;")).map_or(value, |(value, _)| value);
            let place = section.as_mut().filter(|_| !key.trim().is_empty()).ok_or_else(broken)?;
            place.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
        Ok(())
    }

    fn look(&self, named: &str) -> ProfileFinding {
        let mut chain = vec![named.to_owned()];
        loop {
            let profile = chain.last().cloned().unwrap_or_default();
            let Some(section) = self.profiles.get(&profile) else { return self.missing(&chain) };
            let get = |key: &str| section.get(key).map(String::as_str).filter(|value| !value.is_empty());
            let has_keys = get("aws_access_key_id").is_some();
            if get("role_arn").is_none() || (has_keys && chain.len() > 1) {
                return self.end(profile, section);
            }
            if get("mfa_serial").is_some() {
                return ProfileFinding::Mfa { profile };
            }
            if let Some(path) = get("web_identity_token_file") {
                let path = PathBuf::from(path);
                return match std::fs::File::open(&path) {
                    Ok(_) => ProfileFinding::SignsIn { profile, way: SignIn::WebIdentity },
                    Err(_) => ProfileFinding::NoTokenFile { profile, path },
                };
            }
            let Some(source) = get("source_profile") else {
                return match get("credential_source") {
                    Some(_) => ProfileFinding::SignsIn { profile, way: SignIn::Surroundings },
                    None => ProfileFinding::Incomplete { profile, key: "source_profile" },
                };
            };
            if source == profile && has_keys {
                return ProfileFinding::SignsIn { profile, way: SignIn::Keys };
            }
            let is_known = chain.iter().any(|known| known == source);
            chain.push(source.to_owned());
            if is_known {
                return ProfileFinding::Loop { chain };
            }
        }
    }

    fn missing(&self, chain: &[String]) -> ProfileFinding {
        let wanted = chain.last().cloned().unwrap_or_default();
        let nearest = nearest(&wanted, self.profiles.keys().map(String::as_str)).map(str::to_owned);
        match chain {
            [.., profile, _] => ProfileFinding::NoSource { profile: profile.clone(), wanted, nearest },
            _ => ProfileFinding::NoProfile { profile: wanted, path: self.path.clone(), nearest },
        }
    }

    /// A profile that names no other one.
    fn end(&self, profile: String, section: &Section) -> ProfileFinding {
        let get = |section: &Section, key: &str| section.get(key).filter(|value| !value.is_empty()).cloned();
        if let Some(session) = get(section, "sso_session") {
            let Some(found) = self.sessions.get(&session) else {
                let nearest = nearest(&session, self.sessions.keys().map(String::as_str)).map(str::to_owned);
                return ProfileFinding::NoSsoSession { profile, session, nearest };
            };
            let in_session = ["sso_start_url", "sso_region"].into_iter().find(|key| get(found, key).is_none());
            let in_profile = ["sso_account_id", "sso_role_name"].into_iter().find(|key| get(section, key).is_none());
            return match in_session.or(in_profile) {
                Some(key) => ProfileFinding::Incomplete { profile, key },
                None => ProfileFinding::SignsIn { profile, way: SignIn::Sso },
            };
        }
        if get(section, "sso_start_url").is_some() {
            let all = ["sso_region", "sso_account_id", "sso_role_name"];
            return match all.into_iter().find(|key| get(section, key).is_none()) {
                Some(key) => ProfileFinding::Incomplete { profile, key },
                None => ProfileFinding::SignsIn { profile, way: SignIn::Sso },
            };
        }
        let ways = [
            ("aws_access_key_id", SignIn::Keys),
            ("login_session", SignIn::Console),
            ("credential_process", SignIn::Process),
        ];
        match ways.into_iter().find(|(key, _)| get(section, key).is_some()) {
            Some((_, SignIn::Keys)) if get(section, "aws_secret_access_key").is_none() => {
                ProfileFinding::Incomplete { profile, key: "aws_secret_access_key" }
            }
            Some((_, way)) => ProfileFinding::SignsIn { profile, way },
            None => ProfileFinding::Empty { profile },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &[u8], credentials: &str, named: Option<&str>) -> ProfileFinding {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/config"), config).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), credentials).unwrap();
        let vars = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        diagnose_profile(&vars, named).unwrap()
    }

    #[track_caller]
    fn assert_says(config: &str, credentials: &str, named: Option<&str>, said: &str) {
        let finding = found(config.as_bytes(), credentials, named);
        assert!(finding.to_string().contains(said), "{finding}");
    }

    const SESSION: &str = "[sso-session corp]\nsso_start_url = https://x\nsso_region = eu-west-1\n";
    const SSO: &str = "[profile dev]\nsso_session = corp # ours\nsso_account_id = 1\nsso_role_name = r\n";
    const KEYS: &str = "[keys]\naws_access_key_id = a\naws_secret_access_key = b\n";

    #[test]
    fn what_is_wrong_with_a_profile_is_named() {
        assert_says(SSO, "", Some("dve"), "there is no profile `dve` in ");
        assert_says("[dev]\nregion = x\n", "", Some("dev"), "there is no profile `dev` in ");
        assert_says("[profile a]\nrole_arn=r\nsource_profile=b\n", "", Some("a"), "there is no profile `b`");
        let circle = "[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\nsource_profile=a\n";
        assert_says(circle, "", Some("a"), "in a circle: a → b → a");
        assert_says("[profile a]\nrole_arn=r\nsource_profile=a\n", "", Some("a"), "in a circle: a → a");
        assert_says(SSO, "", Some("dev"), "there is no [sso-session corp]");
        assert_says(&format!("{SSO}[sso-session corp]\nsso_region=x\n"), "", Some("dev"), "lacks `sso_start_url`");
        assert_says("[default]\nsso_start_url=u\nsso_region=r\n", "", None, "`default` lacks `sso_account_id`");
        assert_says("[profile a]\nrole_arn=r\n", "", Some("a"), "lacks `source_profile`");
        assert_says("[profile a]\nregion=r\n", "", Some("a"), "says nothing about how to sign in");
        let mfa = "[profile a]\nrole_arn=r\nsource_profile=keys\nmfa_serial=m\n";
        assert_says(mfa, KEYS, Some("a"), "the code of an MFA device");
        let web = "[profile a]\nrole_arn=r\nweb_identity_token_file=/nowhere\n";
        assert_says(web, "", Some("a"), "the token file /nowhere of profile `a` cannot be read");
        assert_says("", "[keys]\naws_access_key_id=a\n", Some("keys"), "lacks `aws_secret_access_key`");
        for (broken, line) in
            [("region = x\n", 1), ("[profile a]\nregion\n", 2), ("[profile a\n", 1), ("[default]\n=x", 2)]
        {
            assert_says(broken, "", None, &format!("config:{line} is neither a [section] nor"));
        }
        assert!(matches!(found(b"[default]\nx = \xff\n", "", None), ProfileFinding::NotUtf8 { .. }));
    }

    #[test]
    fn how_a_profile_signs_in_is_followed_to_the_end_of_the_chain() {
        let whole = format!("{SSO}{SESSION}[profile role]\nrole_arn = r\nsource_profile = dev\ns3 =\n  x = y\n");
        let signs_in = |config: &str, credentials: &str, named, profile: &str, way| {
            let wanted = ProfileFinding::SignsIn { profile: profile.to_owned(), way };
            assert_eq!(found(config.as_bytes(), credentials, named), wanted);
        };
        signs_in(&whole, "", Some("role"), "dev", SignIn::Sso);
        signs_in(&whole, "", Some("dev"), "dev", SignIn::Sso);
        signs_in("", KEYS, Some("keys"), "keys", SignIn::Keys);
        signs_in("[profile a]\nrole_arn=r\nsource_profile=keys\n", KEYS, Some("a"), "keys", SignIn::Keys);
        signs_in("[default]\nlogin_session = arn\n", "", None, "default", SignIn::Console);
        signs_in("[default]\ncredential_process = x\n", "", None, "default", SignIn::Process);
        signs_in("[profile a]\nrole_arn=r\ncredential_source=Environment\n", "", Some("a"), "a", SignIn::Surroundings);
        assert!(found(whole.as_bytes(), "", Some("role")).is_in_order());
    }

    #[test]
    fn without_files_and_with_keys_in_the_variables_nothing_is_said() {
        let home = tempfile::tempdir().unwrap();
        let mut vars = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
        assert_eq!(diagnose_profile(&vars, Some("a")), None);
        let config = home.path().join("own");
        std::fs::write(&config, "[profile b]\nregion=r\n").unwrap();
        vars.insert("AWS_CONFIG_FILE".to_owned(), "~/own".to_owned());
        vars.insert("AWS_PROFILE".to_owned(), "c".to_owned());
        let no_profile = |profile: &str| {
            Some(ProfileFinding::NoProfile {
                profile: profile.to_owned(),
                path: config.clone(),
                nearest: Some("b".to_owned()),
            })
        };
        assert!(
            matches!(diagnose_profile(&vars, None), Some(ProfileFinding::NoProfile { profile, .. }) if profile == "c")
        );
        assert_eq!(diagnose_profile(&vars, Some("bb")), no_profile("bb"));
        vars.insert("AWS_ACCESS_KEY_ID".to_owned(), "k".to_owned());
        assert_eq!(diagnose_profile(&vars, None), None);
        assert_eq!(diagnose_profile(&vars, Some("bb")), no_profile("bb"));
    }
}
