//! Profiles of the AWS command line: keys and a region in `~/.aws/credentials` and `~/.aws/config`.
//!
//! ```text
//! [name]                          in config: [profile name]; the default one is [default]
//! aws_access_key_id = AKIA…
//! aws_secret_access_key = …
//! ```
//! Only keys, a region and an endpoint are looked at. Roles, single sign-on and programs to call are not.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

/// Largest file that is read.
const FILE_BYTES: u64 = 1 << 20;

/// What a profile may say.
const KEYS: [(&str, AmazonS3ConfigKey); 5] = [
    ("aws_access_key_id", AmazonS3ConfigKey::AccessKeyId),
    ("aws_secret_access_key", AmazonS3ConfigKey::SecretAccessKey),
    ("aws_session_token", AmazonS3ConfigKey::Token),
    ("region", AmazonS3ConfigKey::Region),
    ("endpoint_url", AmazonS3ConfigKey::Endpoint),
];

/// A profile.
#[derive(Clone)]
pub(super) struct Profile(Vec<(AmazonS3ConfigKey, String)>);

impl Profile {
    /// The profile that the environment's `variable`s lead to, if there is one.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let name = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let home = variable("HOME").unwrap_or_default();
        let mut settings = Vec::new();
        for (path, default_path) in
            [("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), ("AWS_CONFIG_FILE", ".aws/config")]
        {
            let path = match variable(path) {
                Some(path) => path,
                None if home.is_empty() => continue,
                None => format!("{home}/{default_path}"),
            };
            if let Some(text) = read(Path::new(&path)) {
                settings.extend(of_section(&text, &name));
            }
        }
        (!settings.is_empty()).then_some(Self(settings))
    }

    /// What `builder` does not know yet. Keys are taken together, or not at all: the environment's may be others.
    pub(super) fn fill(&self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
        use AmazonS3ConfigKey as Key;
        let other_keys = [Key::AccessKeyId, Key::SecretAccessKey, Key::WebIdentityTokenFile];
        let has_keys = other_keys.iter().any(|key| builder.get_config_value(key).is_some());
        for (key, value) in &self.0 {
            let is_key = matches!(key, Key::AccessKeyId | Key::SecretAccessKey | Key::Token);
            let is_known = if is_key { has_keys } else { builder.get_config_value(key).is_some() };
            if !is_known {
                builder = builder.with_config(*key, value);
            }
        }
        builder
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// What the section of profile `name` says.
fn of_section(text: &str, name: &str) -> Vec<(AmazonS3ConfigKey, String)> {
    let mut settings = Vec::new();
    let mut is_in = false;
    for line in text.lines() {
        if let Some(section) = line.trim().strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default().trim();
            is_in = section.strip_prefix("profile ").unwrap_or(section).trim() == name;
        } else if is_in
            && let Some((key, value)) = line.split_once('=')
            // Indented lines belong to a group of settings of their own.
            && !line.starts_with([' ', '\t'])
            && let Some((_, key)) = KEYS.iter().find(|(at, _)| *at == key.trim())
        {
            settings.push((*key, value.trim().to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gives_keys_unless_the_environment_does() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(dir.path().join(".aws").join(name), text).unwrap();
        write(
            "credentials",
            "[other]\naws_access_key_id = B\n[default]\naws_access_key_id=A\naws_secret_access_key = S=\n",
        );
        write(
            "config",
            "# x\n[default]\nregion = eu-west-1\ns3 =\n  region = no\n[profile other]\nregion = eu-west-2\n",
        );
        let home = dir.path().display().to_string();
        let read = |profile: Option<&str>| {
            Profile::read(|name| match name {
                "HOME" => Some(home.clone()),
                "AWS_PROFILE" => profile.map(str::to_owned),
                _ => None,
            })
        };
        use AmazonS3ConfigKey as Key;
        let values = |builder: AmazonS3Builder| {
            [Key::AccessKeyId, Key::SecretAccessKey, Key::Region].map(|key| builder.get_config_value(&key))
        };
        let default = read(None).unwrap();
        let own = [Some("A".into()), Some("S=".into()), Some("eu-west-1".into())];
        assert_eq!(values(default.fill(AmazonS3Builder::new())), own);
        let with_keys = AmazonS3Builder::new().with_access_key_id("X").with_secret_access_key("Y");
        assert_eq!(values(default.fill(with_keys)), [Some("X".into()), Some("Y".into()), own[2].clone()]);
        assert_eq!(
            values(read(Some("other")).unwrap().fill(AmazonS3Builder::new()))[2],
            Some("eu-west-2".into())
        );
        assert!(read(Some("missing")).is_none());
    }
}
