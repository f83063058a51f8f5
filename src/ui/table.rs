use super::paint::width;
use crate::system::one_line;

/// Rows of cells, aligned by display width, two spaces apart, no rules. A cell never breaks its line.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn row<I, S>(&mut self, cells: I)
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell.into()).into_owned()).collect());
    }

    /// The table as text, each line indented by `indent` spaces, without trailing blanks.
    pub fn render(&self, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if column + 1 < row.len() {
                    line.push_str(&" ".repeat(widths[column] - width(cell) + 2));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A number with a comma before each third digit.
pub fn grouped(number: u64) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    use crate::ui::Paint;

    #[test]
    fn columns_align_and_lines_carry_no_trailing_blanks() {
        let paint = Paint { color: true };
        let mut table = Table::new();
        table.row(["bastion", "running", ""]);
        table.row(["db", &paint.good("up"), "12 ms"]);
        table.row(["a\nb", "\u{1b}", "x"]);
        let text = super::super::paint::finished(&table.render(2));
        assert_eq!(text, "  bastion  running\n  db       \u{1b}[32mup\u{1b}[0m       12 ms\n  a\\nb     \\u{1b}   x\n");
    }
}
