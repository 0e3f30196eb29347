//! Tables for people: columns side by side, numbers to the right.

use std::io::{self, Write};

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows to print under headings.
#[derive(Debug)]
pub struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headings.
    pub fn new(columns: [(&'static str, Align); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Writes it with its headings, indented by two.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let headings = self.columns.map(|(heading, _)| heading.to_owned());
        self.write_lines(out, std::iter::once(&headings).chain(&self.rows))
    }

    /// Writes it without headings.
    pub fn write_rows(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_lines(out, self.rows.iter())
    }

    fn write_lines<'a>(
        &'a self,
        out: &mut dyn Write,
        rows: impl Iterator<Item = &'a [String; N]>,
    ) -> io::Result<()> {
        let mut widths = self.columns.map(|(heading, _)| heading.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let mut line = String::from(" ");
            for ((cell, width), (_, align)) in row.iter().zip(widths).zip(self.columns) {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                match align {
                    Align::Left => line.extend([" ", cell, &pad]),
                    Align::Right => line.extend([" ", &pad, cell]),
                }
                line.push(' ');
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number with separators: `1,204,331`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with the word for it: `1 block`, `2 blocks`.
pub fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

/// A size for people: `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit behind the point")]
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_read_well() {
        assert_eq!([0, 999, 1000, 1_204_331].map(count), ["0", "999", "1,000", "1,204,331"]);
        assert_eq!(
            [1023, 1024, 1536, (1 << 20) - 1, 1 << 30].map(size),
            ["1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 GiB"]
        );
    }
}
