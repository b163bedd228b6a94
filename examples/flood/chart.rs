//! What is seen of it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use crate::LOAD;
use crate::api::CAPACITY;
use crate::clients::{Second, Side};

const BAR: usize = 20;
const ROWS: usize = 6;

pub(crate) fn heading() {
    println!("{:>5}  {:>7}   {:<38}   with sluicegate", "", "asked", "without a limit");
}

/// What both did in a second.
pub(crate) fn line(second: usize, asked: u32, sides: &[Arc<Side>; 2]) {
    let [without, with] = sides.each_ref().map(|side| side.second(second));
    println!(
        "{:>3} s  {:>5}/s   {}  {}",
        second + 1,
        asked,
        cell(&without, "31", without.gave_up, "gave up"),
        cell(&with, "32", with.rejected, "told to come back"),
    );
}

/// A bar of the good answers, and how many had none.
fn cell(second: &Second, colour: &str, without_answer: u32, word: &str) -> String {
    let good = second.good.len();
    let filled = (good * BAR).div_ceil(CAPACITY as usize).min(BAR);
    let bar = painted(colour, &"█".repeat(filled)) + &" ".repeat(BAR - filled);
    let rest = if without_answer > 0 { format!("{without_answer} {word}") } else { String::new() };
    format!("{bar} {good:>3}  {rest:<13}")
}

/// The chart and the totals. Whether it went as it should: sluicegate kept the API at work, and nothing else did.
pub(crate) fn conclude(sides: &[Arc<Side>; 2]) -> bool {
    let seconds: Vec<[Second; 2]> = (0..LOAD.len()).map(|n| sides.each_ref().map(|side| side.second(n))).collect();
    println!("\nAnswered in time, requests a second (· is what the API could have done)\n");
    chart("without a limit", "31", &seconds, 0);
    chart("with sluicegate", "32", &seconds, 1);

    println!(
        "{:<17} {:>8} {:>10} {:>8} {:>18} {:>9}",
        "", "in time", "of what", "gave up", "told to come back", "slowest 1%"
    );
    println!("{:<17} {:>8} {:>10}", "", "", "could be");
    let [without, with] = [("without a limit", 0), ("with sluicegate", 1)].map(|(name, side)| {
        let all = || seconds.iter().map(|both| &both[side]);
        let mut times: Vec<Duration> = all().flat_map(|second| second.good.iter().copied()).collect();
        times.sort_unstable();
        let share = 100 * times.len() / could_be().sum::<u32>() as usize;
        println!(
            "{name:<17} {:>8} {share:>9}% {:>8} {:>18} {:>7} ms",
            times.len(),
            all().map(|second| second.gave_up).sum::<u32>(),
            all().map(|second| second.rejected).sum::<u32>(),
            times.get(times.len() * 99 / 100).map_or(0, Duration::as_millis),
        );
        share
    });
    with >= 85 && without < 60
}

/// What the API could have done in each second.
fn could_be() -> impl Iterator<Item = u32> {
    LOAD.iter().map(|load| CAPACITY * (*load).min(100) / 100)
}

fn chart(name: &str, colour: &str, seconds: &[[Second; 2]], side: usize) {
    for row in (0..ROWS).rev() {
        let columns: String = could_be()
            .zip(seconds)
            .map(|(possible, both)| {
                let column = block(both[side].good.len(), row);
                if column == ' ' && block(possible as usize, row) != ' ' {
                    "·· ".to_owned()
                } else {
                    painted(colour, &format!("{column}{column} "))
                }
            })
            .collect();
        let scale = if row + 1 == ROWS { CAPACITY.to_string() } else { String::new() };
        println!("{scale:>5} │{columns}");
    }
    println!("{:>5} └{}  {name}\n", 0, "─".repeat(3 * seconds.len()));
}

/// What row `row` shows of a column of so many.
fn block(count: usize, row: usize) -> char {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighths = (count * ROWS * 8).div_ceil(CAPACITY as usize);
    EIGHTHS[eighths.saturating_sub(row * 8).min(8)]
}

fn painted(colour: &str, text: &str) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stdout().is_terminal() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}
