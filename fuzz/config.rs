//! Configuration: whatever is written, loading it gives settings, or problems with their places.

use super::{Sources, load_with_default_file};
use crate::fuzz::fuzz;

const SEEDS: &[&str] = &[
    "[upstreams.a]\nurl = \"http://a/b\"\nset_headers = { x = \"y\" }\n[routes.a]\npath = \"/v1/*\"\nlimit = 5\nqueue = 3\n",
    "[server]\nlisten = \"127.0.0.1:80\"\ntrusted_proxies = [\"private\", \"10.0.0.0/8\"]\n[defaults]\nlimit = \"none\"\n",
    "[limits.x]\nlimit = 4\nkey = [\"bearer|client_ip\", \"path:id\"]\nkeys = { a = { per_key = 1, weight = 2 } }\n",
    "[routes.a]\nheader = { X = \"*\" }\nmethod = [\"GET\"]\nstrip_prefix = \"/a\"\ntimeout = \"1m30s\"\ncost = \"header:x\"\n",
    "[log]\nlevel = \"info,x=debug\"\naccess = false\n[response_headers]\ncors = [\"https://a\"]\n[admin]\nlisten = \"off\"\n",
];

const WORDS: &[&str] = &[
    "\n",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    " = ",
    "\"",
    "\"\"\"",
    "'",
    ",",
    ".",
    "#",
    "[routes.b]\n",
    "[upstreams.b]\n",
    "limit = ",
    "limits = [\"x\"]\n",
    "url = ",
    "-1",
    "99999999999999999999",
    "1.5",
    "true",
    "\"1s\"",
    "\"64KiB\"",
    "2020-01-01",
    "\u{e9}",
    "\0",
    "\r",
    "__",
    "inf",
    "token = ",
];

#[test]
fn whatever_is_written_is_loaded_or_refused_with_its_places() {
    let file = std::env::temp_dir().join(format!("sluicegate-fuzz-{}.toml", std::process::id()));
    let sources = Sources { files: vec![file.clone()], ..Sources::default() };
    let nowhere = std::path::Path::new("/nowhere/sluicegate.toml");
    fuzz("config", SEEDS, WORDS, |bytes| {
        // Names are looked up when an address is read.
        if bytes.windows(6).any(|six| six == b"listen") && !bytes.windows(9).any(|nine| nine == b"127.0.0.1") {
            return Vec::new();
        }
        std::fs::write(&file, bytes).unwrap();
        match load_with_default_file(&sources, nowhere) {
            Ok(loaded) => loaded.warnings.into_iter().map(|warning| warning.key).collect(),
            Err(error) => {
                assert!(!error.0.is_empty());
                assert!(error.to_string().starts_with("error"), "{error}");
                error.0.into_iter().map(|problem| problem.key).collect()
            }
        }
    });
    let _ = std::fs::remove_file(file);
}

#[test]
fn units_are_read_as_they_are_shown() {
    fuzz(
        "units",
        &["1h30m", "250ms", "64KiB", "1MiB", "0s"],
        &["h", "m", "s", "ms", "KiB", "B", "9", "0", "."],
        |bytes| {
            let text = str::from_utf8(bytes).ok()?;
            let (duration, size) = (super::units::duration(text), super::units::size(text));
            if let Some(duration) = duration {
                assert_eq!(super::units::duration(&super::units::show_duration(duration)), Some(duration), "{text:?}");
            }
            if let Some(size) = size {
                assert_eq!(super::units::size(&super::units::show_size(size)), Some(size), "{text:?}");
            }
            Some((duration.is_some(), size.is_some()))
        },
    );
}
