use super::BastionError;

/// Fills `{{name}}` in; strict both ways: an unknown name and an unused value are errors.
///
/// Lines after the first of a value are indented like the line that the placeholder stands in, so that a whole file
/// fits into a YAML block. A line that consists of a placeholder with an empty value disappears.
pub(super) fn fill(template: &'static str, text: &str, values: &[(&str, &str)]) -> Result<String, BastionError> {
    let failed = |reason: String| BastionError::Template { template, reason };
    let mut used = vec![false; values.len()];
    let mut filled = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let mut rest = line;
        let mut shown = String::new();
        while let Some((before, behind)) = rest.split_once("{{") {
            let (name, after) =
                behind.split_once("}}").ok_or_else(|| failed(format!("`{line}` has no closing braces")))?;
            let index = values
                .iter()
                .position(|(known, _)| *known == name)
                .ok_or_else(|| failed(format!("`{name}` has no value")))?;
            used[index] = true;
            shown.push_str(before);
            for (number, value_line) in values[index].1.trim_end().lines().enumerate() {
                if number > 0 {
                    shown.push('\n');
                    shown.push_str(if value_line.is_empty() { "" } else { indent });
                }
                shown.push_str(value_line);
            }
            rest = after;
        }
        shown.push_str(rest);
        if line.trim().is_empty() || !shown.trim().is_empty() {
            filled.push_str(shown.trim_end());
            filled.push('\n');
        }
    }
    match used.iter().position(|used| !used) {
        Some(index) => Err(failed(format!("`{}` does not occur", values[index].0))),
        None => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_with_the_lines_indent() {
        let filled =
            fill("t", "a: |\n  {{b}}\n{{none}}\n\nc: {{d}}-{{d}}\n", &[("b", "1\n\n2\n"), ("d", "x"), ("none", "")]);
        assert_eq!(filled.unwrap(), "a: |\n  1\n\n  2\n\nc: x-x\n");
    }

    #[test]
    fn unknown_and_unused_names_are_errors() {
        assert!(fill("t", "{{a}}", &[]).is_err());
        assert!(fill("t", "{{a", &[("a", "x")]).is_err());
        assert!(fill("t", "a", &[("a", "x")]).is_err());
    }
}
