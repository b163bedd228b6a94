//! What Prometheus' own libraries say of a process, under the names that its dashboards know. Read from `/proc`; where
//! there is none, what is read from there is not there.

use std::fmt::Error;
use std::fs::{metadata, read_dir, read_to_string};

use prometheus_client::collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::collector::family;

/// Reads everything when it is asked to.
#[derive(Debug)]
pub(super) struct Process;

impl collector::Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let mut time = family(encoder, "process_cpu_seconds", "CPU time of all threads.", MetricType::Counter)?;
        time.encode_counter::<NoLabelSet, _, u64>(&(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9), None)?;
        let gauges = [
            ("process_resident_memory_bytes", "Memory that is resident.", pages(1)),
            ("process_virtual_memory_bytes", "Memory that is mapped.", pages(0)),
            ("process_open_fds", "Open file descriptors.", open_files()),
            ("process_max_fds", "How many file descriptors may be open.", Some(most_files())),
            ("process_threads", "Threads.", stat(THREADS)),
            ("process_start_time_seconds", "When the process began, in seconds since 1970.", started()),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                family(encoder, name, help, MetricType::Gauge)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

/// Fields of `/proc/self/stat`, from 1 on as proc(5) counts them.
const THREADS: usize = 20;
const START: usize = 22;

fn stat(field: usize) -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The second is the program's name, in parentheses, and may have anything in it.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(field - 3)?.parse().ok()
}

fn pages(field: usize) -> Option<f64> {
    let pages: f64 = read_to_string("/proc/self/statm").ok()?.split(' ').nth(field)?.parse().ok()?;
    Some(pages * page_size() as f64)
}

fn open_files() -> Option<f64> {
    // Linux says it since 6.2. To list ten thousand takes longer than all else that is read.
    let said = metadata("/proc/self/fd").ok()?.len();
    if said > 0 {
        return Some(said as f64);
    }
    // One of them is that of the directory.
    Some(read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn most_files() -> f64 {
    getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |most| most as f64)
}

fn started() -> Option<f64> {
    let of_system = read_to_string("/proc/stat").ok()?;
    let booted: f64 = of_system.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(booted + stat(START)? / clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_is_read_of_this_process_is_what_it_is_like() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let started = started().unwrap();
        assert!(started > now - 3600.0 && started < now + 2.0, "{started} before {now}");
        assert!(pages(1).unwrap() > 1e6 && pages(0).unwrap() > pages(1).unwrap());
        let before = open_files().unwrap();
        let files: Vec<_> = (0..100).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests run beside this one.
        assert!(open_files().unwrap() > before + 50.0 && most_files() >= open_files().unwrap());
        drop(files);
        assert!(stat(THREADS).unwrap() >= 1.0);
    }
}
