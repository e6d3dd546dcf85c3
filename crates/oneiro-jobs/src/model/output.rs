//! Which output a network's classes are read from: a word about it, for people, scripts and pictures.

use std::sync::atomic::Ordering;

use oneiro::Model;
use oneiro::card::Card;
use oneiro::model::Head;
use oneiro_net::format::onnx;
use oneiro_zoo::labels::Labels;

use super::LoadedModel;
use crate::context::Context;

/// The class names that stand in operators of the graph, if they are as many as the classes.
pub fn labels_in_graph(model: &Model) -> Option<Labels> {
    let labels = Labels::parse(model.graph.metadata.get(onnx::CLASS_LABELS_KEY)?).ok()?;
    (model.class_count() == Some(labels.len())).then_some(labels)
}

impl LoadedModel {
    /// Says once which output the classes are read from, where anything has read them and it could be
    /// another.
    pub fn say_output(&self, context: &Context) {
        if let Some(head) = self.model.head_in_use()
            && !self.output_said.swap(true, Ordering::Relaxed)
        {
            self.output_notes(head).iter().for_each(|note| context.note(note));
        }
    }

    fn output_notes(&self, head: &Head) -> Vec<String> {
        let graph = &self.model.graph;
        let name = graph.name(head.output);
        let mut notes = Vec::new();
        if graph.outputs.len() > 1 && !head.named {
            let count = head.classes.map_or(String::new(), |n| format!(", of {n}"));
            notes.push(format!(
                "classes are those of output \"{name}\"{count}; the outputs are {}; --output NAME or the card's output \
                 takes another",
                self.model.described_outputs()
            ));
        }
        if let Some(op) = &head.behind {
            notes.push(format!(
                "output \"{name}\" holds no scores but what {op} makes of them; the scores before it, \"{}\", are taken",
                graph.name(head.logits)
            ));
        }
        notes
    }

    /// The name of the output that classes were read from, where there are several.
    pub fn output_in_use(&self) -> Option<&str> {
        let head = self.model.head_in_use().filter(|_| self.model.graph.outputs.len() > 1)?;
        Some(self.model.graph.name(head.output))
    }

    /// Where several outputs are: that another may be meant.
    pub(super) fn other_outputs(&self) -> String {
        match self.model.graph.outputs.len() {
            0 | 1 => String::new(),
            _ => format!(", or another output with --output; there are {}", self.model.described_outputs()),
        }
    }

    /// Adds to an object of `--json` which output classes were read from, and what was done to photos.
    pub fn add_to(&self, object: &mut serde_json::Value) {
        if let Some(output) = self.output_in_use() {
            object["output"] = output.into();
        }
        let shown = self.framings.json();
        if shown.as_array().is_some_and(|list| !list.is_empty()) {
            object["shown"] = shown;
        }
    }

    /// The card as a picture carries it: with the output that classes were read from.
    pub fn recorded_card(&self) -> Card {
        let mut card = self.model.whole_card();
        card.output = self.output_in_use().map(str::to_owned).or(card.output);
        card
    }
}
