//! A network's inputs for pictures, clips and optical flow: which there are, the way in, and the way back.
//!
//! Interface: a [`PictureInput`] is chosen from a model for inputs of given shapes. It checks pictures and
//! writes them into a session. It converts the gradient with respect to the network's input to display units.
//! Other inputs are fed with zeros, unless the model replaces them by constants ([`Model::fed`]).

use oneiro_image::{Extent, Image};
use oneiro_net::plan::PlanInput;
use oneiro_net::{CpuSession, Session};

use crate::card::InputKind;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::parallel;
use crate::preprocess::Preprocess;

/// The inputs of a session, each `[batch, …]` as compiled.
pub trait InputMemory {
    /// How many inputs the network has.
    fn input_count(&self) -> usize;
    /// The data of an input. It must be written before every forward pass.
    fn data_mut(&mut self, input: usize) -> &mut [f32];
    /// The gradient of an input after the backward pass.
    fn gradient_of(&self, input: usize) -> &[f32];
}

impl InputMemory for CpuSession {
    fn input_count(&self) -> usize {
        self.plan().inputs.len()
    }

    fn data_mut(&mut self, input: usize) -> &mut [f32] {
        self.input_mut(input)
    }

    fn gradient_of(&self, input: usize) -> &[f32] {
        self.input_gradient(input)
    }
}

/// An input of a network that takes pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct PictureInput {
    /// Index of the input among the network's inputs.
    pub index: usize,
    /// Name of the input in the model file.
    pub name: String,
    /// What the input takes: images, clips or flow.
    pub kind: InputKind,
    /// Channels, frames, height and width of the display image that the input takes.
    pub extent: Extent,
    /// The conversion from display units to the network's units.
    pub preprocess: Preprocess,
}

impl PictureInput {
    /// Creates an input from its index, for inputs of these shapes.
    ///
    /// # Errors
    /// If the input's axes or channels differ from those of the pictures that its card describes.
    pub fn new(model: &Model, index: usize, shapes: &[Vec<usize>]) -> Result<Self> {
        Self::of_shape(model, index, &shapes[index])
    }

    fn of_shape(model: &Model, index: usize, shape: &[usize]) -> Result<Self> {
        model.check_picture(index, shape)?;
        let card = &model.card.input[index];
        let preprocess = Preprocess::from_card(card);
        let channels = preprocess.channels();
        let frames = match card.kind {
            InputKind::Clip => shape[2],
            InputKind::Flow => shape[1] / channels,
            _ => 1,
        };
        let [height, width] = [shape[shape.len() - 2], shape[shape.len() - 1]];
        let extent = Extent { channels, frames, height, width };
        Ok(Self { index, name: card.name.clone(), kind: card.kind, extent, preprocess })
    }

    /// Returns the only input for single images.
    ///
    /// # Errors
    /// If there is none, or several inputs take pictures; also the errors of [`PictureInput::new`].
    pub fn only(model: &Model, shapes: &[Vec<usize>]) -> Result<Self> {
        Self::new(model, model.image_input()?, shapes)
    }

    /// Returns the only input for photographs.
    ///
    /// # Errors
    /// The errors of [`PictureInput::only`], and an error if its pictures are bands.
    pub fn of_photographs(model: &Model, shapes: &[Vec<usize>]) -> Result<Self> {
        let index = model.image_input()?;
        model.check_colors(index)?;
        Self::new(model, index, shapes)
    }

    /// All inputs of images, clips and flow that a plan's targets depend on.
    ///
    /// # Errors
    /// The errors of [`PictureInput::new`].
    pub fn used(model: &Model, planned: &[PlanInput]) -> Result<Vec<Self>> {
        let cards = model.card.input.iter().zip(planned).enumerate();
        let images = cards.filter(|(_, (card, planned))| card.kind != InputKind::Tensor && planned.used);
        images.map(|(index, (_, planned))| Self::of_shape(model, index, &planned.shape)).collect()
    }

    /// Returns an error unless the number of values is that of the display image.
    pub fn check(&self, values: &[f32]) -> Result<()> {
        if values.len() == self.extent.values() {
            return Ok(());
        }
        let (what, values) = ("the image".to_owned(), values.len());
        Err(Error::Values { what, values, needed: self.extent.to_string() })
    }

    /// Returns an error unless a picture has the extent of the display image.
    pub fn check_picture(&self, name: &str, picture: &Image) -> Result<()> {
        let (given, wanted) = (picture.extent(), self.extent);
        let why = if given.channels != wanted.channels {
            format!("it has {} channels, {} are needed", given.channels, wanted.channels)
        } else if given.size() != wanted.size() {
            let ([h, w], [height, width]) = (given.size(), wanted.size());
            format!("it is {h}x{w}, the network sees {height}x{width}")
        } else if given.frames != wanted.frames {
            format!("it has {} frames, {} are needed", given.frames, wanted.frames)
        } else {
            return Ok(());
        };
        Err(Error::Reference { picture: name.to_owned(), why })
    }

    /// Writes the display images of a batch into this input, and zeros into all others. `picture` returns the
    /// image of a batch entry.
    ///
    /// # Panics
    /// If a picture's length differs from the display image's.
    pub fn feed<'a>(
        &self,
        session: &mut impl InputMemory,
        batch: usize,
        picture: impl Fn(usize) -> &'a [f32] + Sync,
    ) {
        for input in (0..session.input_count()).filter(|&input| input != self.index) {
            session.data_mut(input).fill(0.0);
        }
        self.write(session, batch, picture);
    }

    /// Writes pictures like [`PictureInput::feed`], for this input alone.
    pub fn write<'a>(
        &self,
        session: &mut impl InputMemory,
        batch: usize,
        picture: impl Fn(usize) -> &'a [f32] + Sync,
    ) {
        let data = session.data_mut(self.index);
        let len = (data.len() / batch.max(1)).max(1);
        parallel::each(data.chunks_exact_mut(len), |entry, data| self.preprocess.apply(picture(entry), data));
    }

    /// Writes to `out` the gradient with respect to a batch entry's display image. `image` must be the image
    /// that was fed.
    pub fn gradient(
        &self,
        session: &impl InputMemory,
        [entry, batch]: [usize; 2],
        picture: &[f32],
        out: &mut [f32],
    ) {
        let all = session.gradient_of(self.index);
        let len = all.len() / batch.max(1);
        self.preprocess.adjoint(picture, &all[entry * len..][..len], out);
    }
}

/// Writes the display images of a batch into several inputs, and zeros into all other inputs. `picture`
/// returns the image of a batch entry for an input, given by its index in `inputs`.
///
/// # Panics
/// If a picture's length differs from the display image's.
pub fn feed_all<'a>(
    inputs: &[PictureInput],
    session: &mut impl InputMemory,
    batch: usize,
    picture: impl Fn(usize, usize) -> &'a [f32] + Sync,
) {
    let is_other = |input: &usize| inputs.iter().all(|known| known.index != *input);
    for input in (0..session.input_count()).filter(is_other) {
        session.data_mut(input).fill(0.0);
    }
    for (at, input) in inputs.iter().enumerate() {
        input.write(session, batch, |entry| picture(entry, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Card;
    use oneiro_net::graph::{Attribute, Builder, Dim};
    use oneiro_net::{Plan, Request};

    /// A card with an RGB picture, bands of another size, and a tensor.
    const CARD: &str = r#"
        [[input]]
        name = "photo"
        mean = [0.5, 0.25, 0.0]
        std = [0.5, 0.5, 0.25]
        [[input]]
        name = "bands"
        order = "bands"
        mean = [0.5, 0.5]
        std = [1.0, 2.0]
        [[input]]
        name = "number"
        kind = "tensor"
    "#;

    fn model() -> Model {
        let mut net = Builder::new();
        let mut input = |name, shape: [usize; 4]| net.input(name, &shape.map(Dim::Fixed)).unwrap();
        let inputs =
            [input("photo", [1, 3, 2, 3]), input("bands", [1, 2, 1, 2]), input("number", [1, 1, 1, 1])];
        let mut mean = |name, x| net.node("GlobalAveragePool", name, &[x], vec![]).unwrap();
        let means = [mean("a", inputs[0]), mean("b", inputs[1]), inputs[2]];
        let both = net.node("Concat", "both", &means, vec![("axis", Attribute::Int(1))]).unwrap();
        Model::new(net.finish(&[both]), Card::parse(CARD).unwrap()).unwrap()
    }

    /// Memory for inputs and gradients, without a network.
    struct Memory(Vec<Vec<f32>>);

    impl InputMemory for Memory {
        fn input_count(&self) -> usize {
            self.0.len()
        }
        fn data_mut(&mut self, input: usize) -> &mut [f32] {
            &mut self.0[input]
        }
        fn gradient_of(&self, input: usize) -> &[f32] {
            &self.0[input]
        }
    }

    #[test]
    fn a_batch_goes_in_and_its_gradient_comes_back() {
        let model = model();
        let shapes = model.input_shapes(2, None).unwrap();
        let input = PictureInput::new(&model, 0, &shapes).unwrap();
        assert_eq!(input.extent, Extent::still(3, 2, 3));
        let pictures: Vec<Vec<f32>> = (0..2).map(|e| vec![0.5 + 0.25 * e as f32; 18]).collect();
        let mut memory = Memory(shapes.iter().map(|s| vec![7.0; s.iter().product()]).collect());
        input.feed(&mut memory, 2, |entry| &pictures[entry]);
        let first: Vec<f32> = [0.0, 0.5, 2.0].into_iter().flat_map(|v| [v; 6]).collect();
        let second: Vec<f32> = [0.5, 1.0, 3.0].into_iter().flat_map(|v| [v; 6]).collect();
        assert_eq!(memory.0[0], [first, second].concat());
        assert!(memory.0[1..].iter().flatten().all(|&v| v == 0.0));
        // The derivative of (x − mean) / std is 1/std.
        memory.0[0] = (0..36).map(|i| i as f32).collect();
        let mut out = vec![0.0; 18];
        input.gradient(&memory, [1, 2], &pictures[1], &mut out);
        let expected: Vec<f32> = (18..36).map(|i| i as f32 * [2.0, 2.0, 4.0][(i - 18) / 6]).collect();
        assert_eq!(out, expected);
    }

    #[test]
    fn several_inputs_are_fed_together() {
        let model = model();
        let shapes = model.input_shapes(2, None).unwrap();
        let inputs = [0, 1].map(|index| PictureInput::new(&model, index, &shapes).unwrap());
        let mut memory = Memory(shapes.iter().map(|s| vec![7.0; s.iter().product()]).collect());
        let pictures = [[vec![0.5; 18], vec![0.5; 4]], [vec![1.0; 18], vec![1.5; 4]]];
        feed_all(&inputs, &mut memory, 2, |entry, input| &pictures[entry][input]);
        assert_eq!(memory.0[0][..18], [vec![0.0; 6], vec![0.5; 6], vec![2.0; 6]].concat());
        assert_eq!(memory.0[1], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.5, 0.5]);
        assert!(memory.0[2].iter().all(|&value| value == 0.0));
    }

    #[test]
    fn several_inputs_take_pictures_and_tensors_take_none() {
        let model = model();
        let shapes = model.input_shapes(1, None).unwrap();
        let used = |layer: &str| {
            let target = model.resolve(layer).unwrap();
            let plan =
                Plan::compile(&model.graph, &Request::of_shapes(shapes.clone(), vec![target])).unwrap();
            PictureInput::used(&model, &plan.inputs).unwrap()
        };
        let all = used("both");
        assert_eq!(all.iter().map(|i| (i.index, i.extent.channels)).collect::<Vec<_>>(), [(0, 3), (1, 2)]);
        assert_eq!(used("b"), all[1..]);
        let error = PictureInput::only(&model, &shapes).unwrap_err().to_string();
        assert!(error.contains("\"photo\" and \"bands\""), "{error}");
    }

    #[test]
    fn pictures_of_another_extent_are_refused() {
        let model = model();
        let input = PictureInput::new(&model, 1, &model.input_shapes(1, None).unwrap()).unwrap();
        assert!(input.check(&[0.0; 4]).is_ok());
        assert!(input.check(&[0.0; 5]).unwrap_err().to_string().contains("2x1x2"));
        for (extent, says) in [([3, 1, 2], "3 channels"), ([2, 2, 2], "2x2"), ([2, 1, 2], "")] {
            let picture = Image::new(extent, vec![0.0; extent.iter().product()]).unwrap();
            let checked = input.check_picture("p", &picture);
            assert_eq!(checked.is_ok(), says.is_empty());
            assert!(checked.err().is_none_or(|e| e.to_string().contains(says)));
        }
        let clip = Image::new([2, 3, 1, 2], vec![0.0; 12]).unwrap();
        assert!(input.check_picture("p", &clip).unwrap_err().to_string().contains("3 frames"));
    }
}
