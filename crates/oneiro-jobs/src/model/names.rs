//! The names of classes, and of objectives that speak of them.

use oneiro::objective::Objective;

use super::LoadedModel;

impl LoadedModel {
    /// Returns the label of a class, or its index as text.
    pub fn class_name(&self, index: usize) -> String {
        self.labels.as_ref().and_then(|l| l.get(index)).map_or_else(|| index.to_string(), str::to_owned)
    }

    /// Returns an objective as text in which classes have their names: `logit(tabby) - logit(tiger_cat)`. A
    /// class keeps its index if its name is not unique or not a word.
    pub fn named(&self, objective: &Objective) -> String {
        let text = objective.to_string();
        let (mut named, mut rest) = (String::new(), text.as_str());
        let next = |rest: &str| {
            let starts = ["logit(", "prob("].into_iter();
            starts.filter_map(|word| rest.find(word).map(|at| at + word.len())).min()
        };
        while let Some(at) = next(rest) {
            let (before, behind) = rest.split_at(at);
            let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
            let name = behind[..digits].parse().ok().and_then(|class| self.word_for(class));
            named += before;
            named += name.as_deref().unwrap_or(&behind[..digits]);
            rest = &behind[digits..];
        }
        named + rest
    }

    /// The name of a class as one word, if it names this class only.
    fn word_for(&self, class: usize) -> Option<String> {
        let label = self.labels.as_ref()?.get(class)?;
        let word = label.split(',').next().unwrap_or(label).trim().replace(' ', "_");
        let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (is_word && self.class_index(&word).is_ok_and(|found| found == class)).then_some(word)
    }
}
