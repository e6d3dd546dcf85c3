//! The output from which a network's classes are read: a remark on it, and entries in reports and metadata.

use std::sync::atomic::Ordering;

use oneiro::Model;
use oneiro::card::Card;
use oneiro::model::Head;
use oneiro_net::format::onnx;
use oneiro_zoo::labels::Labels;

use super::LoadedModel;
use crate::context::Context;
use crate::remark::Remark;

/// Returns the class names that operators of the graph contain, if their number is that of the classes.
pub fn labels_in_graph(model: &Model) -> Option<Labels> {
    let labels = Labels::parse(model.graph.metadata.get(onnx::CLASS_LABELS_KEY)?).ok()?;
    (model.class_count() == Some(labels.len())).then_some(labels)
}

impl LoadedModel {
    /// Tells the user once from which output classes are read, if they have been read and if another output
    /// could be meant.
    pub fn say_output(&self, context: &Context) {
        if let Some(head) = self.model.head_in_use()
            && !self.output_said.swap(true, Ordering::Relaxed)
        {
            self.output_notes(head).into_iter().for_each(|remark| context.remark(remark));
        }
    }

    fn output_notes(&self, head: &Head) -> Vec<Remark> {
        let graph = &self.model.graph;
        let name = graph.name(head.output);
        let mut notes = Vec::new();
        if graph.outputs.len() > 1 && !head.named {
            notes.push(Remark::ClassOutput {
                output: name.to_owned(),
                classes: head.classes,
                outputs: self.model.described_outputs(),
            });
        }
        if let Some(op) = &head.behind {
            notes.push(Remark::ScoresBefore {
                output: name.to_owned(),
                op: op.clone(),
                logits: graph.name(head.logits).to_owned(),
            });
        }
        notes
    }

    /// Returns the name of the output from which classes were read, if there are several outputs.
    pub fn output_in_use(&self) -> Option<&str> {
        let head = self.model.head_in_use().filter(|_| self.model.graph.outputs.len() > 1)?;
        Some(self.model.graph.name(head.output))
    }

    /// Describes the network's outputs, if there are several.
    pub(super) fn other_outputs(&self) -> Option<String> {
        (self.model.graph.outputs.len() > 1).then(|| self.model.described_outputs())
    }

    /// Adds to a JSON report from which output classes were read, and how photos were cropped and resized.
    pub fn add_to(&self, object: &mut serde_json::Value) {
        if let Some(output) = self.output_in_use() {
            object["output"] = output.into();
        }
        let shown = self.framings.json();
        if shown.as_array().is_some_and(|list| !list.is_empty()) {
            object["shown"] = shown;
        }
    }

    /// Returns the card for a picture's metadata. It includes the output from which classes were read.
    pub fn recorded_card(&self) -> Card {
        let mut card = self.model.whole_card();
        card.output = self.output_in_use().map(str::to_owned).or(card.output);
        card
    }
}
