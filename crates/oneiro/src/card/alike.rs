//! Converts lists of means and deviations to another number of channels.

use super::{ChannelOrder, InputCard};

/// How several values became one value for all channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collapsed {
    /// All channels had this one value.
    Shared,
    /// The channels differed, and the value is their mean.
    Averaged,
}

impl InputCard {
    /// Makes this the card of a grey picture: mean and std become one value each. It is the common value of
    /// all channels if there is one, otherwise their average.
    ///
    /// | preprocessing | grey |
    /// |---|---|
    /// | `imagenet` | (x − 0.449)/0.226, the means of torchvision's constants for three colours |
    /// | `caffe` | 255·x − 114.7997, the mean of Caffe's constants for three colours |
    /// | `tf` | 2·x − 1 |
    /// | `unit` | 0–1 |
    /// | `none` | 0–255 |
    pub fn to_gray(&mut self) -> Collapsed {
        let mut collapsed = Collapsed::Shared;
        for list in [&mut self.mean, &mut self.std] {
            if !is_alike(list) {
                collapsed = Collapsed::Averaged;
                *list = vec![list.iter().sum::<f32>() / list.len() as f32];
            }
            list.truncate(1);
        }
        self.order = ChannelOrder::Gray;
        collapsed
    }
}

/// Whether all numbers of a list are equal.
pub fn is_alike(list: &[f32]) -> bool {
    list.windows(2).all(|pair| pair[0] == pair[1])
}

/// Returns a list with one number for each of `channels` channels: the list itself, or its single number
/// repeated. Returns `None` for other lengths.
pub fn spread(list: &[f32], channels: usize) -> Option<Vec<f32>> {
    match list {
        _ if list.len() == channels => Some(list.to_vec()),
        [first, ..] if is_alike(list) => Some(vec![*first; channels]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_network_gets_the_number_that_all_colours_share_or_their_mean() {
        let gray = |name: &str| {
            let mut card = InputCard::preset(name, "x").unwrap();
            let collapsed = card.to_gray();
            card.complete().unwrap();
            (card.mean[0], card.std[0], card.range, collapsed)
        };
        assert_eq!(gray("tf"), (0.5, 0.5, 1.0, Collapsed::Shared));
        assert_eq!(gray("unit"), (0.0, 1.0, 1.0, Collapsed::Shared));
        assert_eq!(gray("none"), (0.0, 1.0, 255.0, Collapsed::Shared));
        let (mean, std, range, collapsed) = gray("imagenet");
        assert!((mean - 0.449).abs() < 1e-6 && (std - 0.226).abs() < 1e-6 && range == 1.0);
        assert_eq!(collapsed, Collapsed::Averaged);
        let (mean, std, range, collapsed) = gray("caffe");
        assert!((mean - 114.799_7).abs() < 1e-3 && std == 1.0 && range == 255.0);
        assert_eq!(collapsed, Collapsed::Averaged);
    }

    #[test]
    fn one_number_stands_for_all_channels_and_several_only_for_as_many() {
        assert_eq!(spread(&[0.5], 3), Some(vec![0.5; 3]));
        assert_eq!(spread(&[0.5, 0.5, 0.5], 4), Some(vec![0.5; 4]));
        assert_eq!(spread(&[1.0, 2.0], 2), Some(vec![1.0, 2.0]));
        assert_eq!(spread(&[1.0, 2.0], 3), None);
        assert_eq!(spread(&[], 3), None);
    }
}
