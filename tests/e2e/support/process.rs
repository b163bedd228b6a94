//! What the system tells of a process.

use std::collections::BTreeSet;

use super::Sluicegate;

impl Sluicegate {
    /// Its memory in use, in bytes, where the system shows it (Linux).
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
    }

    /// How many clients' connections each of its workers has that has any; where the system shows it (Linux).
    pub fn connections_of_workers(&self) -> Option<Vec<usize>> {
        let process = format!("/proc/{}", self.pid()?);
        let link = |file: &str| Some(std::fs::read_link(format!("{process}/fd/{file}")).ok()?.display().to_string());
        let port = format!(":{:04X}", self.address.port());
        let sockets = std::fs::read_to_string(format!("{process}/net/tcp")).ok()?;
        let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = fields.filter(|fields| fields[1].ends_with(&port) && fields[3] == "01");
        let ours: BTreeSet<_> = ours.map(|fields| format!("socket:[{}]", fields[9])).collect();
        let mut workers = BTreeSet::new();
        for file in std::fs::read_dir(format!("{process}/fd")).ok()? {
            let file = file.ok()?.file_name().into_string().ok()?;
            if link(&file).is_some_and(|what| what == "anon_inode:[eventpoll]") {
                let info = std::fs::read_to_string(format!("{process}/fdinfo/{file}")).ok()?;
                let watched = info.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
                // A runtime has two handles to the same.
                workers.insert(watched.filter_map(link).filter(|what| ours.contains(what)).collect::<BTreeSet<_>>());
            }
        }
        Some(workers.iter().map(BTreeSet::len).filter(|len| *len > 0).collect())
    }
}
