//! `status --watch`: the same again and again, until somebody has seen enough.
//!
//! On a terminal it is one picture that changes, also across a restart of what it shows. Elsewhere it is one block after
//! the other, and the end of what it shows is its end, too.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::client::Client;
use super::{Reach, status, table};

/// From one picture to the next.
const TICK: Duration = Duration::from_secs(1);

/// Shows the status until Ctrl-C. With `json` as one line for each second.
///
/// # Errors
/// When nothing answers at first, or on something else than a terminal ever.
pub(super) fn watch(reach: &Reach, json: bool) -> Result<String, String> {
    let client = reach.client()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(async {
        let stop = async {
            let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
            let [Ok(mut interrupt), Ok(mut terminate)] = signals else { return std::future::pending().await };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        tokio::select! {
            () = stop => Ok(()),
            ended = pictures(&client, json) => ended,
        }
    })?;
    Ok(String::new())
}

/// Draws until it cannot. Dropping it leaves the terminal as it was.
async fn pictures(client: &Client, json: bool) -> Result<(), String> {
    let mut before: Option<Value> = None;
    // It begins with the first answer: what is wrong from the start is said as by any other command.
    let mut screen: Option<Screen> = None;
    loop {
        let drawn = match (client.ask_json_async("GET", status::PATH, None).await, &mut screen) {
            (Ok(now), screen) => {
                let drawn = match json {
                    true => write(&format!("{now}\n")),
                    false => {
                        let picture = picture(client, &now, before.as_ref())?;
                        let started = io::stdout().is_terminal() && screen.is_none();
                        *screen = screen.take().or(started.then(Screen::open));
                        match screen {
                            Some(screen) => screen.draw(picture),
                            None => write(&format!("{picture}\n")),
                        }
                    }
                };
                before = Some(now);
                drawn
            }
            (Err(error), Some(screen)) => screen.draw_lost(&error),
            (Err(error), None) => return Err(error),
        };
        match drawn {
            Ok(()) => {}
            // Whoever read it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(TICK).await;
    }
}

/// A line about the whole, and the tables.
fn picture(client: &Client, now: &Value, before: Option<&Value>) -> Result<String, String> {
    let uptime = Duration::from_secs(now["uptime_seconds"].as_f64().unwrap_or_default() as u64);
    let version = now["version"].as_str().unwrap_or_default();
    let uptime = humantime::format_duration(uptime);
    let mut text = format!("sluicegate {version} at {client}, up {uptime}");
    let _ = writeln!(text, ", {} connections", now["connections"]);
    Ok(text + &status::describe(now, before, table::room())?)
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A terminal's second screen, so that its first has all that it had when this is dropped.
struct Screen {
    colour: bool,
    last: String,
}

/// The second screen, without a cursor; lines are cut at its edge.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const CLOSE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

impl Screen {
    fn open() -> Self {
        // If it does not work, the first picture will not either.
        let _ = write(OPEN);
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { colour, last: String::new() }
    }

    fn draw(&mut self, picture: String) -> io::Result<()> {
        self.last = picture;
        self.put(None)
    }

    /// The last picture there was stays, below what is wrong.
    fn draw_lost(&mut self, error: &str) -> io::Result<()> {
        self.put(Some(error))
    }

    fn put(&self, error: Option<&str>) -> io::Result<()> {
        let height = terminal_size::terminal_size().map_or(usize::MAX, |(_, height)| usize::from(height.0));
        write(&frame(&self.last, error, height, self.colour))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write(CLOSE);
        // What was last seen can be scrolled back to.
        let _ = write(&self.last);
    }
}

/// What draws a picture over the one before it. Where it is too high, its end is missing, and that is said.
fn frame(picture: &str, error: Option<&str>, height: usize, colour: bool) -> String {
    let lost = error.map(|error| format!("LOST, and trying again: {error}"));
    let lines: Vec<&str> = lost.as_deref().into_iter().chain(picture.lines()).collect();
    let shown = if lines.len() > height { height.saturating_sub(1) } else { lines.len() };
    let rest = (shown < lines.len()).then(|| format!("... and {} lines more", lines.len() - shown));
    let mut text = "\x1b[H".to_owned();
    for (at, line) in lines[..shown].iter().copied().chain(rest.as_deref()).enumerate() {
        let style = match line {
            _ if !colour => "",
            _ if at == 0 && error.is_some() => RED,
            _ if line.starts_with("LIMIT ") || line.starts_with("UPSTREAM ") => BOLD,
            _ if ["draining", "dry run"].iter().any(|word| line.starts_with(word)) => RED,
            _ => "",
        };
        let end = if style.is_empty() { "" } else { PLAIN };
        // The rest of each line is of the picture before. No line end after the last, which might scroll.
        let gap = if at == 0 { "" } else { "\n" };
        let _ = write!(text, "{gap}{style}{line}{end}\x1b[K");
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_the_one_before_it_and_ends_with_the_screen() {
        let picture = "about\nLIMIT  QUEUE\na      1\nb      2\n";
        assert_eq!(
            frame(picture, None, 24, true),
            "\x1b[Habout\x1b[K\n\x1b[1mLIMIT  QUEUE\x1b[0m\x1b[K\na      1\x1b[K\nb      2\x1b[K\x1b[J"
        );
        assert_eq!(
            frame(picture, None, 3, false),
            "\x1b[Habout\x1b[K\nLIMIT  QUEUE\x1b[K\n... and 2 lines more\x1b[K\x1b[J"
        );
        let lost = frame(picture, Some("gone"), 24, true);
        assert!(lost.starts_with("\x1b[H\x1b[31mLOST, and trying again: gone\x1b[0m\x1b[K\nabout\x1b[K"), "{lost:?}");
        assert!(!frame(picture, Some("gone"), 24, false).contains("\x1b[3"));
    }
}
