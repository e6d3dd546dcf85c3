//! The output from which a network's classes are read, as a remark, in reports and in pictures' metadata.

use std::sync::atomic::Ordering;

use oneiro::Model;
use oneiro::card::Card;
use oneiro::model::Head;
use oneiro_net::format::onnx;
use oneiro_zoo::labels::Labels;

use super::LoadedModel;
use crate::context::Context;
use crate::remark::Remark;

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

    /// The name of the output that classes were read from, where there are several.
    pub fn output_in_use(&self) -> Option<&str> {
        let head = self.model.head_in_use().filter(|_| self.model.graph.outputs.len() > 1)?;
        Some(self.model.graph.name(head.output))
    }

    /// The outputs in words, where there are several: another may be meant.
    pub(super) fn other_outputs(&self) -> Option<String> {
        (self.model.graph.outputs.len() > 1).then(|| self.model.described_outputs())
    }

    /// Adds to a report as JSON which output classes were read from, and what was done to photos.
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
