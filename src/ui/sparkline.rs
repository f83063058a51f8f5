const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A row of bars, one for each value, from zero to the largest of them; a gap where there is no value.
pub fn sparkline(values: impl IntoIterator<Item = Option<f64>> + Clone) -> String {
    let largest = values.clone().into_iter().flatten().fold(0.0, f64::max);
    let bar = |value: f64| {
        let share = if largest > 0.0 { value / largest } else { 0.0 };
        BARS[((share * 7.0).round() as usize).min(BARS.len() - 1)]
    };
    values.into_iter().map(|value| value.map_or('·', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn bars_stand_on_zero_and_a_missing_value_is_a_gap() {
        assert_eq!(sparkline([Some(10.0), Some(20.0), None, Some(80.0), Some(0.0)]), "▂▃·█▁");
        assert_eq!(sparkline([Some(0.0)]), "▁");
        assert_eq!(sparkline([]), "");
    }
}
