//! What the commands of a block are run in front of: a sluicegate with the documented configuration, and requests.
//!
//! `<!-- scene: config/sidecar.toml; hold 20 /orders; wait 3 /orders -->`: first the configuration (a file, a page for the first
//! block on it, `above` for the block before it on its own page, or nothing for the README's), then what has happened:
//! `hold N PATH [FIELD]` are in flight, `wait N PATH [FIELD]` wait, `reject N PATH [FIELD]` were turned away,
//! `serve N PATH [FIELD]` have been answered, and of those in flight `leave N` clients have gone, the first ones.
//! Requests have the ids `orders-1`, `orders-2`, and so on, one count for all of a path.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use super::{pages, read, root};
use crate::support::certificates::Ca;
use crate::support::{Call, Client, Sluicegate, Upstream, soon, until};

/// Addresses as documents have them.
const UPSTREAMS: [&str; 4] = ["127.0.0.1:3000", "127.0.0.1:8000", "10.0.0.5:3000", "partner.example.com"];
const NOBODY: &str = "10.0.0.6:3000";
const LISTEN: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9901";
/// Where documents have certificates and secrets.
const FOLDERS: [&str; 2] = ["/etc/sluicegate/", "/run/secrets/"];

/// A directory with what a configuration names, and the addresses that stand for the documented ones.
pub struct Scratch {
    ca: Ca,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Scratch {
    pub fn new(upstream: Option<SocketAddr>) -> Self {
        let mut addresses = Vec::new();
        if let Some(upstream) = upstream {
            addresses.extend(UPSTREAMS.map(|documented| (documented, upstream)));
            addresses.push((NOBODY, port_of_nobody()));
        }
        let this = Scratch { ca: Ca::new(), addresses };
        std::os::unix::fs::symlink(root().join("config"), this.folder().join("config")).expect("a link can be made");
        this
    }

    pub fn folder(&self) -> &Path {
        &self.ca.directory.0
    }

    /// Writes a configuration, with all the files that it names, and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        for folder in FOLDERS {
            for part in text.split(folder).skip(1) {
                self.make(part.split(['"', '\'']).next().expect("a name"));
            }
        }
        std::fs::write(self.folder().join(name), self.real(text)).expect("the file can be written");
        self.ca.path(name)
    }

    fn make(&self, name: &str) {
        let path = self.folder().join(name);
        if path.exists() {
            return;
        }
        match name.rsplit_once('.') {
            Some((stem, "crt")) if stem.ends_with("ca") => {
                std::fs::copy(self.ca.path("ca.crt"), path).expect("a CA");
            }
            Some((stem, "crt" | "key")) => drop(self.ca.issue(stem, &["api.example.com"])),
            _ => std::fs::write(path, "a-secret-that-is-long-enough\n").expect("the file can be written"),
        }
    }

    /// A text with the addresses and folders that there are.
    pub fn real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (documented, real) in &self.addresses {
            text = text.replace(documented, &real.to_string());
        }
        let folder = format!("{}/", self.folder().display());
        FOLDERS.iter().fold(text, |text, documented| text.replace(documented, &folder))
    }

    /// A text with the addresses of a configuration's documents in place of those.
    fn documented(&self, text: &str, configuration: &str) -> String {
        let mut text = text.to_owned();
        let mentioned = |(documented, _): &&(&str, _)| configuration.contains(documented);
        for (documented, real) in
            self.addresses.iter().filter(|pair| mentioned(pair) || pair.0 == LISTEN || pair.0 == ADMIN)
        {
            text = text.replace(&real.to_string(), documented);
        }
        text.replace(&format!("{}/", self.folder().display()), FOLDERS[0])
    }
}

pub struct Scene {
    pub gate: Sluicegate,
    pub scratch: Scratch,
    configuration: String,
    upstream: Upstream,
    inside: Vec<(Client, Call)>,
    waiting: Vec<Client>,
    counts: HashMap<String, usize>,
}

impl Scene {
    pub async fn set(description: &str, above: Option<&str>) -> Self {
        let mut steps = description.split(';').map(str::trim);
        let configuration = match steps.next().unwrap_or_default() {
            "" => first_of("README.md"),
            page if page.ends_with(".md") => first_of(page),
            "above" => above.expect("a configuration stands above it").to_owned(),
            file => read(file),
        };
        let upstream = Upstream::start().await;
        let mut scratch = Scratch::new(Some(upstream.address));
        let file = scratch.write("sluicegate.toml", &configuration);
        let listen = [("SLUICEGATE__SERVER__LISTEN", "127.0.0.1:0")];
        let gate = Sluicegate::run_with(&["-c", &file, "--admin", "127.0.0.1:0"], &listen).await;
        scratch.addresses.extend([(LISTEN, gate.address), (ADMIN, gate.admin_address())]);
        let (inside, waiting, counts) = Default::default();
        let mut scene = Scene { gate, scratch, configuration, upstream, inside, waiting, counts };
        for step in steps.filter(|step| !step.is_empty()) {
            scene.play(step).await;
        }
        scene
    }

    async fn play(&mut self, step: &str) {
        let mut words = step.splitn(4, ' ');
        let what = words.next().expect("a word");
        let n = words.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no number: {step}"));
        if what == "leave" {
            let (leave, stay) = (self.inside.drain(..n).collect::<Vec<_>>(), &self.gate);
            // Their calls go on, as a server's do that does not look.
            for (client, call) in leave {
                client.leave();
                std::mem::forget(call);
            }
            until("them to be abandoned", async || sum(&stay.metrics().await, "sluicegate_inflight_abandoned") == n)
                .await;
            return;
        }
        let path = words.next().unwrap_or_else(|| panic!("no path: {step}"));
        let field = words.next();
        for _ in 0..n {
            let mut client = self.ask(path, field).await;
            match what {
                "hold" => {
                    let call = soon("a request upstream", self.upstream.next()).await;
                    self.inside.push((client, call));
                }
                "wait" => {
                    self.waiting.push(client);
                    let (gate, n) = (&self.gate, self.waiting.len());
                    until("them to wait", async || sum(&gate.metrics().await, "sluicegate_queue_length") == n).await;
                }
                "reject" => {
                    let answer = client.answer().await;
                    assert!(answer.reason().is_some(), "{step}: {answer:?}");
                }
                "serve" => {
                    soon("a request upstream", self.upstream.next()).await.respond(200, "").await;
                    assert_eq!(client.answer().await.status, 200, "{step}");
                }
                _ => panic!("no such step: {step}"),
            }
        }
    }

    async fn ask(&mut self, path: &str, field: Option<&str>) -> Client {
        let name = path.trim_matches('/').replace('/', "-");
        let count = self.counts.entry(name.clone()).or_default();
        *count += 1;
        let id = format!("x-request-id: {name}-{count}");
        let mut client = self.gate.client().await;
        client.request("GET", path, &[&[id.as_str()][..], field.as_slice()].concat()).await;
        client
    }

    /// What was printed, as a document has it.
    pub fn documented(&self, text: &str) -> String {
        self.scratch.documented(text, &self.configuration)
    }
}

fn sum(samples: &std::collections::BTreeMap<String, f64>, name: &str) -> usize {
    samples
        .iter()
        .filter(|(sample, _)| sample.starts_with(&format!("{name}{{")))
        .map(|(_, value)| *value as usize)
        .sum()
}

fn first_of(path: &str) -> String {
    let page = pages().into_iter().find(|page| page.path == path).unwrap_or_else(|| panic!("there is no page {path}"));
    page.blocks().into_iter().find(|block| block.language == "toml").expect("a configuration in it").text
}

/// Where nobody listens.
fn port_of_nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address")
}
