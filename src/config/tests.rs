//! Whole configurations, as an operator would write them.

mod adaptive;
mod admin;
mod fairness;
mod handling;
mod health;
mod keys;
mod layers;
mod limits;
mod mistakes;
mod reference;
mod reports;
mod rewriting;
mod slots;
mod tracing;

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// Files, variables and flags of one test; the files are removed with it.
#[derive(Default)]
struct Given {
    sources: Sources,
    default_file: Option<PathBuf>,
    written: Vec<PathBuf>,
}

impl Given {
    /// A configuration that is whole but for what a test is about.
    fn minimal() -> Self {
        Given::default().flag_upstream("http://127.0.0.1:3000").flag_limit("20")
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.write(text);
        self.sources.files.push(path);
        self
    }

    fn default_file(mut self, text: &str) -> Self {
        self.default_file = Some(self.write(text));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag_upstream(mut self, url: &str) -> Self {
        self.sources.flags.upstream = Some(url.to_owned());
        self
    }

    fn flag_admin(mut self, address: &str) -> Self {
        self.sources.flags.admin = Some(address.to_owned());
        self
    }

    fn flag_limit(mut self, limit: &str) -> Self {
        self.sources.flags.limit = Some(limit.to_owned());
        self
    }

    fn write(&mut self, text: &str) -> PathBuf {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sluicegate-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        self.written.push(path.clone());
        path
    }

    fn load(&self) -> Result<Loaded, Error> {
        let nowhere = PathBuf::from("/nowhere/sluicegate.toml");
        load_with_default_file(&self.sources, self.default_file.as_ref().unwrap_or(&nowhere))
    }

    /// The limit of the first route, which has no other.
    fn limit(&self) -> crate::admission::Settings {
        let plan = self.settings().plan;
        let [index] = plan.routes[0].limits[..] else { panic!("{plan:?}") };
        plan.limits[index].clone()
    }

    fn settings(&self) -> Settings {
        self.loaded().settings
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problems as `place key message`, where files are called `0`, `1` and so on.
    fn problems(&self) -> Vec<String> {
        let Error(problems) = self.load().expect_err("the configuration is broken");
        problems.iter().map(|problem| self.line(problem)).collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.loaded().warnings.iter().map(|warning| self.line(warning)).collect()
    }

    fn line(&self, problem: &Problem) -> String {
        let line = format!("{} {} {}", problem.place, problem.key, problem.message);
        let help = problem.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
        self.written
            .iter()
            .enumerate()
            .fold(line + &help, |line, (at, path)| line.replace(&path.display().to_string(), &at.to_string()))
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        for path in &self.written {
            let _ = std::fs::remove_file(path);
        }
    }
}
