//! Where the tables of a drawing stand: those that are referred to on the left, those that refer to them on the right.

use super::Diagram;
use super::diagram::DiagramTable;
use std::collections::BTreeMap;

/// Sizes in pixels; letters are those of a monospaced font of 12 pixels.
pub(super) const LETTER: f64 = 7.3;
pub(super) const HEAD: f64 = 28.0;
pub(super) const ROW: f64 = 18.0;
const GAP_X: f64 = 90.0;
const GAP_Y: f64 = 28.0;
const MARGIN: f64 = 24.0;
/// How much wider than high a drawing should be.
const ASPECT: f64 = 1.5;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// One for each table.
    pub(super) frames: Vec<Frame>,
    pub(super) width: f64,
    pub(super) height: f64,
}

pub(super) fn layout(diagram: &Diagram) -> Layout {
    let mut frames: Vec<Frame> = diagram.tables.iter().map(frame).collect();
    let mut groups: Vec<(f64, f64, Vec<usize>)> = groups(diagram)
        .into_iter()
        .map(|tables| {
            let (width, height) = place_group(diagram, &tables, &mut frames);
            (width, height, tables)
        })
        .collect();
    // High ones first, so that each shelf holds groups of about the same height.
    groups.sort_by(|one, other| other.1.total_cmp(&one.1));
    let area: f64 = groups.iter().map(|(width, height, _)| (width + GAP_X) * (height + GAP_Y)).sum();
    let widest = groups.iter().map(|group| group.0).fold(0.0, f64::max);
    let limit = (area * ASPECT).sqrt().max(widest);
    let (mut x, mut y, mut shelf, mut right) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    for (width, height, tables) in groups {
        if x > 0.0 && x + width > limit {
            (x, y, shelf) = (0.0, y + shelf + GAP_Y * 1.5, 0.0);
        }
        for table in tables {
            frames[table].x += x + MARGIN;
            frames[table].y += y + MARGIN;
        }
        right = right.max(x + width);
        shelf = shelf.max(height);
        x += width + GAP_X / 2.0;
    }
    Layout { frames, width: right + 2.0 * MARGIN, height: y + shelf + 2.0 * MARGIN }
}

fn frame(table: &DiagramTable) -> Frame {
    let rows = table.rows.iter().map(|row| row.name.chars().count() + row.column_type.chars().count() + 6);
    let longest = rows.chain([table.name.chars().count() + 2, 14]).max().unwrap_or(0);
    let rows = table.rows.len() + usize::from(table.more > 0);
    Frame { x: 0.0, y: 0.0, width: (longest as f64 * LETTER + 20.0).round(), height: HEAD + ROW * rows as f64 + 6.0 }
}

/// The tables that foreign keys hold together.
fn groups(diagram: &Diagram) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..diagram.tables.len()).collect();
    for link in &diagram.links {
        let (one, other) = (group[link.from], group[link.to]);
        if one != other {
            group.iter_mut().filter(|group| **group == other).for_each(|group| *group = one);
        }
    }
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (table, group) in group.into_iter().enumerate() {
        found.entry(group).or_default().push(table);
    }
    found.into_values().collect()
}

/// Places the tables of a group from the origin on; gives its width and height.
fn place_group(diagram: &Diagram, tables: &[usize], frames: &mut [Frame]) -> (f64, f64) {
    let mut neighbours: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut parents: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for link in diagram.links.iter().filter(|link| link.from != link.to && tables.binary_search(&link.from).is_ok()) {
        parents.entry(link.from).or_default().push(link.to);
        neighbours.entry(link.from).or_default().push(link.to);
        neighbours.entry(link.to).or_default().push(link.from);
    }
    let mut layers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut known = BTreeMap::new();
    for table in tables {
        layers.entry(depth(*table, &parents, &mut known)).or_default().push(*table);
    }
    untangle(&mut layers, &neighbours);
    let columns = columns(layers.into_values(), frames);
    let full = |column: &[usize], frames: &[Frame]| {
        column.iter().map(|table| frames[*table].height + GAP_Y).sum::<f64>() - GAP_Y
    };
    let height = columns.iter().map(|column| full(column, frames)).fold(0.0, f64::max);
    let mut x = 0.0;
    for column in &columns {
        let widest = column.iter().map(|table| frames[*table].width).fold(0.0, f64::max);
        let mut y = (height - full(column, frames)) / 2.0;
        for table in column {
            frames[*table] = Frame { x, y, ..frames[*table] };
            y += frames[*table].height + GAP_Y;
        }
        x += widest + GAP_X;
    }
    (x - GAP_X, height)
}

/// How many tables stand to the left of this one, at most. A ring of foreign keys is cut where it closes.
fn depth(table: usize, parents: &BTreeMap<usize, Vec<usize>>, known: &mut BTreeMap<usize, Option<usize>>) -> usize {
    if let Some(known) = known.get(&table) {
        // On the way still: this is where a ring closes.
        return known.unwrap_or(0);
    }
    known.insert(table, None);
    let above = parents.get(&table).into_iter().flatten();
    let mut deepest = 0;
    for parent in above {
        let is_ring = known.get(parent) == Some(&None);
        if !is_ring {
            deepest = deepest.max(depth(*parent, parents, known) + 1);
        }
    }
    known.insert(table, Some(deepest));
    deepest
}

/// Moves each table towards the middle of those that it is tied to, a few times from each side.
fn untangle(layers: &mut BTreeMap<usize, Vec<usize>>, neighbours: &BTreeMap<usize, Vec<usize>>) {
    for _ in 0..6 {
        let mut places = BTreeMap::new();
        for layer in layers.values() {
            let middle = layer.len() as f64 / 2.0;
            places.extend(layer.iter().enumerate().map(|(at, table)| (*table, at as f64 - middle)));
        }
        for layer in layers.values_mut() {
            let wish = |table: &usize| {
                let near: Vec<f64> =
                    neighbours.get(table).into_iter().flatten().filter_map(|near| places.get(near)).copied().collect();
                if near.is_empty() {
                    places.get(table).copied().unwrap_or(0.0)
                } else {
                    near.iter().sum::<f64>() / near.len() as f64
                }
            };
            layer.sort_by(|one, other| wish(one).total_cmp(&wish(other)).then(one.cmp(other)));
        }
    }
}

/// Cuts layers that would be too high into columns side by side.
fn columns(layers: impl Iterator<Item = Vec<usize>>, frames: &[Frame]) -> Vec<Vec<usize>> {
    let layers: Vec<Vec<usize>> = layers.collect();
    let all = || layers.iter().flatten().map(|table| frames[*table]);
    let area: f64 = all().map(|frame| (frame.width + GAP_X) * (frame.height + GAP_Y)).sum();
    let limit = (area / ASPECT).sqrt().max(all().map(|frame| frame.height).fold(0.0, f64::max));
    let mut columns = Vec::new();
    for layer in layers {
        let height: f64 = layer.iter().map(|table| frames[*table].height + GAP_Y).sum();
        let share = height / (height / limit).ceil().max(1.0);
        let mut column: Vec<usize> = Vec::new();
        let mut filled = 0.0;
        for table in layer {
            let more = frames[table].height + GAP_Y;
            if !column.is_empty() && filled + more / 2.0 > share {
                columns.push(std::mem::take(&mut column));
                filled = 0.0;
            }
            filled += more;
            column.push(table);
        }
        columns.push(column);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::diagram::tests::diagram;
    use proptest::prelude::*;

    #[test]
    fn what_is_referred_to_stands_left() {
        let found = layout(&diagram(3, &[(2, 1), (1, 0)]));
        assert!(found.frames[0].x < found.frames[1].x && found.frames[1].x < found.frames[2].x);
    }

    #[test]
    fn a_hundred_tables_without_keys_make_no_tower() {
        let found = layout(&diagram(100, &[]));
        let aspect = found.width / found.height;
        assert!((0.8..3.0).contains(&aspect), "{aspect}");
    }

    #[test]
    fn a_hundred_tables_that_refer_to_one_make_no_tower() {
        let links: Vec<(usize, usize)> = (1..100).map(|from| (from, 0)).collect();
        let found = layout(&diagram(100, &links));
        let aspect = found.width / found.height;
        assert!((0.8..3.0).contains(&aspect), "{aspect}");
    }

    proptest! {
        #[test]
        fn no_table_hides_another_and_all_are_on_the_sheet(links in proptest::collection::vec((0_usize..40, 0_usize..40), 0..80)) {
            let found = layout(&diagram(40, &links));
            for (at, one) in found.frames.iter().enumerate() {
                prop_assert!(one.x >= 0.0 && one.y >= 0.0);
                prop_assert!(one.x + one.width <= found.width && one.y + one.height <= found.height);
                for other in &found.frames[at + 1..] {
                    let apart = one.x + one.width <= other.x || other.x + other.width <= one.x
                        || one.y + one.height <= other.y || other.y + other.height <= one.y;
                    prop_assert!(apart, "{one:?} {other:?}");
                }
            }
        }
    }
}
