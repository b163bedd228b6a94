//! Columns of text.

use std::io::IsTerminal;

use terminal_size::{Width, terminal_size};

/// So many characters of a cell stay in any case.
const LEAST: usize = 8;

/// The columns that there are for a line; `None` where it goes into a pipe or a file, which take any.
pub(super) fn room() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    terminal_size().filter(|_| is_terminal).map(|(Width(width), _)| usize::from(width))
}

/// [`table`] in so much room: the widest cells are cut, but not those of the first column, which commands take.
pub(super) fn fitted(rows: &[Vec<String>], room: Option<usize>) -> String {
    let Some(room) = room else { return table(rows) };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let mut widths: Vec<usize> =
        (0..columns).map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    while widths.iter().sum::<usize>() + GAP.len() * columns.saturating_sub(1) > room {
        let widest = widths.iter_mut().skip(1).max().filter(|width| **width > LEAST);
        let Some(widest) = widest else { break };
        *widest -= 1;
    }
    let cut = |(cell, width): (&String, &usize)| match cell.chars().count() > *width {
        true => cell.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => cell.clone(),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().zip(&widths).map(cut).collect()).collect();
    table(&rows)
}

/// Whether [`table`] fits as it is.
pub(super) fn fits(rows: &[Vec<String>], room: Option<usize>) -> bool {
    room.is_none_or(|room| table(rows).lines().all(|line| line.chars().count() <= room))
}

/// A text in lines of so many columns, as far as its words allow; all but the first are indented.
pub(super) fn wrapped(text: &str, room: Option<usize>) -> String {
    const INDENT: &str = "    ";
    let room = room.unwrap_or(usize::MAX);
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column == 0 {
            column = width;
        } else if column + 1 + width <= room {
            lines.push(' ');
            column += 1 + width;
        } else {
            lines += "\n";
            lines += INDENT;
            column = INDENT.len() + width;
        }
        lines += word;
    }
    lines + "\n"
}

const GAP: &str = "  ";

/// Lines up the cells of all rows; the first column to the left, and what is a number to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let is_last = at + 1 == columns;
            line += &if at == 0 || is_last { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            line += GAP;
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_for_a_terminal_is_cut_where_it_is_widest() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let rows =
            [row(&["REQUEST", "KEY", "ENDPOINT"]), row(&["0123456789abcdef", "a-key-of-tenant", "db.internal:5432"])];
        let shown = fitted(&rows, Some(40));
        assert_eq!(shown, "REQUEST                  KEY  ENDPOINT\n0123456789abcdef  a-key-of-…  db.intern…\n");
        assert!(fitted(&rows, Some(10)).contains("0123456789abcdef"), "an id is what `cancel` takes");
        assert_eq!(fitted(&rows, None), table(&rows));
    }

    #[test]
    fn a_sentence_goes_on_in_the_next_line() {
        let text = "api: limit 8 until tomorrow by 127.0.0.1";
        assert_eq!(wrapped(text, None), format!("{text}\n"));
        assert_eq!(wrapped(text, Some(20)), "api: limit 8 until\n    tomorrow by\n    127.0.0.1\n");
        assert_eq!(wrapped("a-word-that-is-wide", Some(5)), "a-word-that-is-wide\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let rows = [row(&["NAME", "N", "UNTIL"]), row(&["a", "100", "x"]), row(&["longer", "5", ""])];
        assert_eq!(table(&rows), "NAME      N  UNTIL\na       100  x\nlonger    5\n");
    }
}
