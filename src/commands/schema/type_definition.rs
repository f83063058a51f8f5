use super::definition::Page;
use crate::schema::UserType;
use crate::system::{barred, one_line};
use crate::ui::{Paint, Report};

impl Report for UserType {
    fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} type {}\n", self.kind.word(), paint.strong(&self.shown));
        text.extend(self.comment.iter().map(|comment| format!("  {}\n", barred(comment, "  "))));
        if let Some(base) = &self.base {
            let null = if self.not_null { ", not null" } else { "" };
            let default = self.default.as_ref().map_or_else(String::new, |default| format!(", default {default}"));
            let collation = self.collation.as_ref().map_or_else(String::new, |name| format!(", collate {name}"));
            let line = format!("{base}{collation}{null}{default}");
            text.push_str(&format!("  {}\n", one_line(&line)));
        }
        if let Some(range) = &self.range {
            text.push_str(&format!("  range of {}\n", one_line(&range.subtype)));
        }
        let mut page = Page { text, paint };
        page.section("values", &self.labels);
        page.table("checks", self.constraints.iter().map(|check| vec![check.name.clone(), check.definition.clone()]));
        page.table(
            "fields",
            self.attributes.iter().map(|field| vec![field.name.clone(), field.attribute_type.clone()]),
        );
        page.section("used by", &self.used_by);
        page.text
    }
}
