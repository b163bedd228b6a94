//! The real binary, on a port of its own choice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::quiet::{Ticket, beside_others};
use super::{Client, Upstream, soon, until};

/// A running sluicegate. Dropping it kills it.
pub struct Sluicegate {
    pub address: SocketAddr,
    /// The line with which it said that it listens.
    pub start_line: String,
    /// Where its admin listener is, if it has one.
    pub admin: Option<SocketAddr>,
    child: Child,
    stderr: watch::Receiver<String>,
    pub(super) config: Option<PathBuf>,
    _ticket: Rc<Ticket>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stderr: String,
}

impl Sluicegate {
    /// Begins the description of one with one upstream, one route and this limit.
    pub fn with_limit(limit: usize) -> Setup {
        Setup::default().route(&format!("limit = {limit}"))
    }

    /// The same with as many as the upstream has slots.
    pub fn with_slots() -> Setup {
        Setup::default().route("limit = \"slots\"")
    }

    /// Runs with a configuration file.
    pub async fn configured(text: &str) -> Self {
        Self::configured_with(text, &[], &[]).await
    }

    /// The same with further flags and variables.
    pub async fn configured_with(text: &str, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let file = write_config(text);
        let args = [&["-c", file.to_str().expect("a path in UTF-8")], flags].concat();
        let mut this = Self::run_with(&args, variables).await;
        this.config = Some(file);
        this
    }

    /// Runs with flags and waits until it listens.
    pub async fn run(args: &[&str]) -> Self {
        Self::run_with(args, &[]).await
    }

    /// The same with variables.
    pub async fn run_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.envs(variables.iter().copied());
        Self::listening(command, args).await
    }

    /// Started as systemd would, with two listening sockets: `web`, on a free port, and `local`, at a path.
    pub async fn with_passed_sockets(path: &str, args: &[&str]) -> Self {
        Self::listening(passing_sockets(path), args).await
    }

    /// The same where it must end by itself.
    pub async fn with_passed_sockets_to_end(path: &str, args: &[&str]) -> Ended {
        Self::ended(passing_sockets(path), args).await
    }

    pub(super) async fn listening(command: Command, args: &[&str]) -> Self {
        let ticket = beside_others();
        let mut child = spawn(command, args);
        let mut stderr = collect(&mut child);
        let started = stderr.wait_for(|text| listening_on(text).is_some());
        let started = soon("the start line", started).await.is_ok();
        let text = stderr.borrow().clone();
        assert!(started, "it ended instead of listening: {text}");
        let (address, start_line) = listening_on(&text).expect("just seen");
        let admin = start_line.split(", admin http://").nth(1).map(|admin| admin.parse().expect("an address"));
        Sluicegate { address, start_line, admin, child, stderr, config: None, _ticket: ticket }
    }

    /// Runs it where it must end by itself.
    pub async fn run_to_end(args: &[&str]) -> Ended {
        Self::ended(binary(), args).await
    }

    async fn ended(command: Command, args: &[&str]) -> Ended {
        let mut child = spawn(command, args);
        let mut stderr = collect(&mut child);
        let status = soon("the process to end", child.wait()).await.expect("our child");
        while stderr.changed().await.is_ok() {}
        Ended { code: status.code(), stderr: stderr.borrow().clone() }
    }

    /// Runs with a configuration file where it must end by itself.
    pub async fn run_config_to_end(text: &str) -> Ended {
        let file = write_config(text);
        let ended = Self::run_to_end(&["-c", file.to_str().expect("a path in UTF-8")]).await;
        let _ = std::fs::remove_file(file);
        ended
    }

    /// What it has written to stderr.
    pub fn log(&self) -> String {
        self.stderr.borrow().clone()
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A new client that has sent a GET.
    pub async fn get(&self, target: &str) -> Client {
        let mut client = self.client().await;
        client.get(target).await;
        client
    }

    /// A new client whose GET waits in the queue.
    pub async fn waiting(&self, target: &str) -> Client {
        let mut client = self.get(target).await;
        client.settled().await;
        assert!(client.hears_nothing().await, "{target} was to wait, but: {:?}", client.try_answer().await);
        client
    }

    /// A new client whose GET finds a place in the queue, as soon as there is one.
    pub async fn waiting_soon(&self, target: &str) -> Client {
        let start = std::time::Instant::now();
        loop {
            let mut client = self.get(target).await;
            client.settled().await;
            if client.hears_nothing().await {
                return client;
            }
            let answer = client.answer().await;
            assert_eq!(answer.reason().as_deref(), Some("queue_full"), "{answer:?}");
            assert!(start.elapsed() < super::PATIENCE, "no place in the queue came free");
        }
    }

    /// Sends a signal by its name, without `SIG`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs");
        let sent = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Stops it, until SIGCONT, and returns once all of its threads stand still.
    pub async fn freeze(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id().expect("it runs"));
        let state_of = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            stat.rsplit(") ").next()?.chars().next()
        };
        let stopped = async || {
            std::fs::read_dir(&tasks).expect("it runs").all(|task| state_of(task).is_none_or(|state| state == 'T'))
        };
        until("it to stand still", stopped).await;
    }

    /// Replaces its configuration file and has it loaded; returns once it has said what became of that.
    pub async fn reload(&mut self, text: &str) {
        let before = told(&self.stderr.borrow());
        std::fs::write(self.config.as_ref().expect("it has a file"), text).expect("the file can be written");
        self.signal("HUP");
        let heard = self.stderr.wait_for(|text| told(text) > before);
        soon("word of the reload", heard).await.expect("it runs");
    }

    /// Replaces its configuration file, and does not tell it.
    pub fn rewrite(&self, text: &str) {
        std::fs::write(self.config.as_ref().expect("it has a file"), text).expect("the file can be written");
    }

    /// What it has written to its standard error.
    pub fn stderr(&self) -> String {
        self.stderr.borrow().clone()
    }

    /// Waits until it has said this on its standard error.
    pub async fn said(&mut self, what: &str) {
        self.stderr.wait_for(|text| text.contains(what)).await.expect("it runs");
    }

    /// Asks it to drain.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the end and its exit code.
    pub async fn exit_code(mut self) -> Option<i32> {
        soon("the process to end", self.child.wait()).await.expect("our child").code()
    }
}

impl Drop for Sluicegate {
    fn drop(&mut self) {
        // The child is killed by its own drop.
        if let Some(file) = &self.config {
            let _ = std::fs::remove_file(file);
        }
        if std::thread::panicking() {
            eprintln!("--- stderr of sluicegate at {}:\n{}", self.address, *self.stderr.borrow());
        }
    }
}

/// A configuration with one upstream and one route that takes everything.
#[derive(Default, Clone)]
pub struct Setup {
    listen: Option<String>,
    server: String,
    upstream: String,
    route: String,
    admin: Option<(String, Option<String>)>,
}

impl Setup {
    /// With an admin listener on a port of its own choice.
    pub fn admin(mut self) -> Self {
        self.admin = Some(("127.0.0.1:0".to_owned(), None));
        self
    }

    /// With an admin listener that everybody can reach, and with a token or without.
    pub fn open_admin(mut self, token: Option<&str>) -> Self {
        self.admin = Some(("0.0.0.0:0".to_owned(), token.map(str::to_owned)));
        self
    }

    pub fn queue(self, queue: usize) -> Self {
        self.route(&format!("queue = {queue}"))
    }

    /// A second place to listen at.
    pub fn listen(mut self, place: &str) -> Self {
        self.listen = Some(place.to_owned());
        self
    }

    /// A line for `[server]`.
    pub fn server(mut self, line: &str) -> Self {
        self.server += &format!("{line}\n");
        self
    }

    /// A line for `[upstreams.default]`.
    pub fn upstream(mut self, line: &str) -> Self {
        self.upstream += &format!("{line}\n");
        self
    }

    /// A line for `[routes.default]`.
    pub fn route(mut self, line: &str) -> Self {
        self.route += &format!("{line}\n");
        self
    }

    pub async fn in_front_of(&self, upstream: &Upstream) -> Sluicegate {
        self.in_front_of_url(&upstream.url()).await
    }

    pub async fn in_front_of_url(&self, url: &str) -> Sluicegate {
        self.start(&self.text(url)).await
    }

    /// With one upstream that has all of these for its endpoints.
    pub async fn in_front_of_all(&self, urls: impl IntoIterator<Item = String>) -> Sluicegate {
        self.start(&self.text_of_all(urls)).await
    }

    async fn start(&self, text: &str) -> Sluicegate {
        let Some((address, token)) = &self.admin else { return Sluicegate::configured(text).await };
        let token = token.iter().map(|token| ("SLUICEGATE__ADMIN__TOKEN", token.as_str())).collect::<Vec<_>>();
        Sluicegate::configured_with(text, &["--admin", address], &token).await
    }

    /// The configuration file that it makes for several endpoints.
    pub fn text_of_all(&self, urls: impl IntoIterator<Item = String>) -> String {
        let endpoints: Vec<_> = urls.into_iter().map(|url| format!("\"{url}\"")).collect();
        self.text("URL").replace("url = \"URL\"", &format!("endpoints = [{}]", endpoints.join(", ")))
    }

    /// The configuration file that it makes.
    pub fn text(&self, url: &str) -> String {
        let Setup { server, upstream, route, .. } = self;
        let listen = self.listen.iter().map(|place| format!(", \"{place}\"")).collect::<String>();
        let patience = if route.contains("queue_timeout") { "" } else { "queue_timeout = \"60s\"\n" };
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"{listen}]\nthreads = 2\n{server}\n\
             [upstreams.default]\nurl = \"{url}\"\n{upstream}\n\
             [routes.default]\n{route}{patience}"
        )
    }
}

/// Writes a configuration file of its own.
pub fn write_config(text: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("sluicegate-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("cargo's directory for tests can be written");
    path
}

/// The binary, without the variables of whoever runs the tests.
pub fn binary() -> Command {
    of_us(Command::new(env!("CARGO_BIN_EXE_sluicegate")))
}

/// A program that becomes the binary, once it has opened sockets for it.
fn passing_sockets(path: &str) -> Command {
    const SCRIPT: &str = "if True:
        import fcntl, os, socket, sys
        local = socket.socket(socket.AF_UNIX)
        local.bind(sys.argv[1])
        local.listen()
        web = socket.create_server(('127.0.0.1', 0))
        # Far from where they have to be, where they may stand in each other's way now.
        copies = [fcntl.fcntl(given.detach(), fcntl.F_DUPFD, 100) for given in (web, local)]
        for fd, copy in enumerate(copies, 3):
            os.dup2(copy, fd)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='web:local')
        os.execv(sys.argv[2], sys.argv[2:])";
    let mut command = of_us(Command::new("/usr/bin/python3"));
    command.args(["-c", SCRIPT, path, env!("CARGO_BIN_EXE_sluicegate")]);
    command
}

/// Without the variables of whoever runs the tests.
pub(super) fn of_us(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SLUICEGATE_")) {
        command.env_remove(name);
    }
    command
}

fn spawn(mut command: Command, args: &[&str]) -> Child {
    // Tests run beside each other, and its default port is there once.
    let is_said = command.as_std().get_envs().any(|(name, value)| name == "SLUICEGATE_ADMIN" && value.is_some());
    let files = args.windows(2).filter(|pair| pair[0] == "-c");
    let says = |pair: &[&str]| std::fs::read_to_string(pair[1]).is_ok_and(|text| text.contains("[admin]"));
    if !is_said && !files.into_iter().any(says) {
        command.env("SLUICEGATE_ADMIN", "off");
    }
    command.args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("the binary has been built")
}

/// Gathers stderr; the sender is gone when the process has closed it.
fn collect(child: &mut Child) -> watch::Receiver<String> {
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let (sender, receiver) = watch::channel(String::new());
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            sender.send_modify(|text| *text += &(line + "\n"));
        }
    });
    receiver
}

/// An address whose port nobody has for now.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// How many reloads it has told of.
fn told(stderr: &str) -> usize {
    stderr.matches("the new configuration").count()
}

/// The address and the line in which it is told, once that has been written.
fn listening_on(stderr: &str) -> Option<(SocketAddr, String)> {
    let line = stderr.lines().find(|line| line.contains("listening on http://"))?;
    let rest = line.split("listening on http://").nth(1)?;
    let address = rest.split([',', ' ']).next()?;
    Some((address.parse().ok()?, line.to_owned()))
}
