//! Columns of text.

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
            line += "  ";
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
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let rows = [row(&["NAME", "N", "UNTIL"]), row(&["a", "100", "x"]), row(&["longer", "5", ""])];
        assert_eq!(table(&rows), "NAME      N  UNTIL\na       100  x\nlonger    5\n");
    }
}
