use super::diagram::{Diagram, DiagramTable, Link};
use super::layout::{Frame, HEAD, LETTER, ROW, layout};

/// Colours for a light and a dark page. A line that is pointed at stands out.
const STYLE: &str = "
  :root { color-scheme: light dark }
  text { font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1f2430 }
  .page { fill: #ffffff } .box { fill: #ffffff; stroke: #9aa5b8 } .head { fill: #e7edf6 } .name { font-weight: bold }
  .faint { fill: #6b7588 } .key { fill: #a15c00 } .link { fill: none; stroke: #7d89a0; stroke-width: 1.3 }
  .end { fill: none; stroke: #7d89a0; stroke-width: 1.3 } g.tie:hover * { stroke: #d1441f; stroke-width: 2.2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e9f0 } .page { fill: #14171d } .box { fill: #1b2028; stroke: #4a5568 } .head { fill: #2a3342 }
    .faint { fill: #97a2b6 } .key { fill: #e5ad5b } .link, .end { stroke: #7886a0 }
  }
";

/// The diagram as a drawing that stands alone. Primary keys are bold, and a line leads from each foreign key to what it
/// refers to; its fork says that many rows may, a ring that one need not.
pub fn svg(diagram: &Diagram) -> String {
    let sheet = layout(diagram);
    let (width, height) = (sheet.width.max(60.0), sheet.height.max(60.0));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n\
         <title>{} tables</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        diagram.tables.len()
    );
    for link in &diagram.links {
        text.push_str(&tie(diagram, link, &sheet.frames));
    }
    for (table, frame) in diagram.tables.iter().zip(&sheet.frames) {
        text.push_str(&table_box(table, *frame));
    }
    text + "</svg>\n"
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    // No other control character may stand in XML.
    text.chars().filter(|letter| !letter.is_control() || *letter == '\t').collect()
}

fn table_box(table: &DiagramTable, frame: Frame) -> String {
    let Frame { x, y, width, height } = frame;
    let mut text = format!(
        "<g transform=\"translate({x:.1} {y:.1})\"><rect class=\"box\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"5\"/>\
         <path class=\"head\" d=\"M.5 {HEAD} V5.5 a5 5 0 0 1 5 -5 H{:.1} a5 5 0 0 1 5 5 V{HEAD} Z\"/>\
         <text class=\"name\" x=\"10\" y=\"19\">{}</text>\n",
        width - 5.5,
        escape(&table.name)
    );
    let mut line = HEAD + 14.0;
    for row in &table.rows {
        let class = if row.is_primary { " class=\"name\"" } else { "" };
        let mark = if row.is_foreign {
            "→"
        } else if row.is_primary {
            "•"
        } else {
            ""
        };
        let optional = if row.not_null { "" } else { "?" };
        text.push_str(&format!(
            "<text class=\"key\" x=\"7\" y=\"{line:.1}\">{mark}</text><text{class} x=\"20\" y=\"{line:.1}\">{}</text>\
             <text class=\"faint\" x=\"{:.1}\" y=\"{line:.1}\" text-anchor=\"end\">{}{optional}</text>\n",
            escape(&row.name),
            width - 9.0,
            escape(&row.column_type)
        ));
        line += ROW;
    }
    if table.more > 0 {
        text.push_str(&format!("<text class=\"faint\" x=\"20\" y=\"{line:.1}\">… {} more</text>\n", table.more));
    }
    text + "</g>\n"
}

/// Where a line begins or ends: a point at a side of a table, and which way is out.
#[derive(Clone, Copy)]
struct Port {
    x: f64,
    y: f64,
    out: f64,
}

fn tie(diagram: &Diagram, link: &Link, frames: &[Frame]) -> String {
    let (Some(from), Some(to)) = (frames.get(link.from), frames.get(link.to)) else { return String::new() };
    let (Some(child), Some(parent)) = (diagram.tables.get(link.from), diagram.tables.get(link.to)) else {
        return String::new();
    };
    let (near, far) = if from.x >= to.x + to.width {
        (-1.0, 1.0)
    } else if from.x + from.width <= to.x {
        (1.0, -1.0)
    } else {
        // One above the other: the line goes around.
        (1.0, 1.0)
    };
    let start = port(child, *from, link.columns.first(), near);
    let end = port(parent, *to, link.to_columns.first(), far);
    let reach = ((end.x - start.x).abs() / 2.0).clamp(36.0, 160.0);
    // Both ends keep clear of the marks.
    let (left, right) = (start.x + start.out * 12.0, end.x + end.out * 12.0);
    let path = format!(
        "M{:.1} {:.1} H{left:.1} C{:.1} {:.1} {:.1} {:.1} {right:.1} {:.1} H{:.1}",
        start.x,
        start.y,
        left + start.out * reach,
        start.y,
        right + end.out * reach,
        end.y,
        end.y,
        end.x
    );
    let label =
        format!("{} ({}) → {} ({})", child.name, link.columns.join(", "), parent.name, link.to_columns.join(", "));
    format!(
        "<g class=\"tie\"><title>{}</title><path class=\"link\" d=\"{path}\"/><path class=\"end\" d=\"{}{}\"/></g>\n",
        escape(&label),
        from_mark(start, link.is_unique),
        to_mark(end, link.is_optional)
    )
}

fn port(table: &DiagramTable, frame: Frame, column: Option<&String>, out: f64) -> Port {
    let row = column.and_then(|column| table.rows.iter().position(|row| row.name == *column));
    let y = row.map_or(HEAD / 2.0, |row| HEAD + ROW * row as f64 + 10.0);
    let x = if out > 0.0 { frame.x + frame.width } else { frame.x };
    Port { x, y: frame.y + y, out }
}

/// A fork for many rows, a stroke for one.
fn from_mark(port: Port, is_unique: bool) -> String {
    let Port { x, y, out } = port;
    if is_unique {
        return format!("M{0:.1} {1:.1} V{2:.1}", x + out * 7.0, y - 5.0, y + 5.0);
    }
    format!("M{x:.1} {:.1} L{:.1} {y:.1} L{x:.1} {:.1}", y - 5.0, x + out * 10.0, y + 5.0)
}

/// A stroke for the row that is referred to, a ring where there need not be one.
fn to_mark(port: Port, is_optional: bool) -> String {
    let Port { x, y, out } = port;
    let stroke = format!("M{0:.1} {1:.1} V{2:.1}", x + out * 5.0, y - 5.0, y + 5.0);
    if !is_optional {
        return stroke;
    }
    let radius = LETTER / 2.0;
    let near = x + out * 7.0;
    format!(
        "{stroke} M{near:.1} {y:.1} a{radius:.1} {radius:.1} 0 1 0 {0:.1} 0 a{radius:.1} {radius:.1} 0 1 0 {1:.1} 0",
        out * 2.0 * radius,
        -out * 2.0 * radius
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::diagram::tests::diagram;

    #[test]
    fn every_table_and_every_key_is_drawn_and_names_are_escaped() {
        let mut drawing = diagram(3, &[(1, 0), (2, 0), (2, 2)]);
        drawing.tables[1].name = "<&\u{1}\">".to_owned();
        let text = svg(&drawing);
        assert_eq!((text.matches("class=\"box\"").count(), text.matches("class=\"link\"").count()), (3, 3));
        assert!(text.contains(">&lt;&amp;&quot;&gt;</text>"));
        assert!(!svg(&Diagram::default()).contains("NaN"));
    }
}
