//! What a scan knows of all units of a layer at once.

use std::collections::BTreeMap;

use super::strength::{ENOUGH_IMAGES, selectivities};
use super::{Breadth, LayerRecord, ScanFile};
use crate::error::Result;

/// What a unit's responses to the classes of the images say.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitClasses {
    /// The class that the unit is most selective for, of those with at least five images, and how selective
    /// it is, from −1 to 1.
    pub selectivity: Option<(String, f64)>,
    /// To how many classes it responds.
    pub breadth: Breadth,
}

impl Default for UnitClasses {
    fn default() -> Self {
        Self { selectivity: None, breadth: Breadth::Unknown }
    }
}

impl ScanFile {
    /// Returns what the responses to classes say of each unit of a layer, by channel.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn unit_classes(&self, layer: &LayerRecord) -> Result<Vec<UnitClasses>> {
        let classes = self.classes()?;
        let enough = |images: usize| if images >= ENOUGH_IMAGES { images } else { 0 };
        let counts: Vec<usize> = classes.iter().map(|class| enough(class.images)).collect();
        let mut found = vec![UnitClasses::default(); layer.channels];
        for (channel, [means, _]) in self.class_numbers(layer)? {
            let known = selectivities(&means, &counts).into_iter().zip(classes);
            let known = known.filter_map(|(value, class)| Some((class.name.clone(), value?)));
            let selectivity = known.reduce(|best, other| if other.1 > best.1 { other } else { best });
            let breadth = self.breadth_of(&means)?;
            if let Some(of_channel) = found.get_mut(channel) {
                *of_channel = UnitClasses { selectivity, breadth };
            }
        }
        Ok(found)
    }

    /// Returns the largest value of each unit of a layer in front of its ReLU, by channel.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn largest_before(&self, layer: &LayerRecord) -> Result<BTreeMap<usize, f64>> {
        let sql = "SELECT u.channel, max(e.before) FROM examples e JOIN units u USING (unit) \
                   WHERE u.layer = ? AND e.list = 0 GROUP BY u.channel";
        let found =
            self.all(sql, [layer.number as i64], |row| Ok((row.get::<_, i64>(0)? as usize, row.get(1)?)))?;
        Ok(found.into_iter().collect())
    }

    /// Returns the images that were read: their indices and files.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn seen_images(&self) -> Result<Vec<(u32, String)>> {
        let sql = "SELECT image, file FROM images WHERE height IS NOT NULL ORDER BY image";
        self.all(sql, [], |row| Ok((row.get::<_, i64>(0)? as u32, row.get(1)?)))
    }

    /// Returns the images that were read with their files and the network's class of each, if it has one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn labelled_images(&self) -> Result<Vec<(u32, String, Option<usize>)>> {
        let sql = "SELECT i.image, i.file, c.label FROM images i LEFT JOIN classes c USING (class) \
                   WHERE i.height IS NOT NULL ORDER BY i.image";
        self.all(sql, [], |row| {
            let label = row.get::<_, Option<i64>>(2)?.map(|label| label as usize);
            Ok((row.get::<_, i64>(0)? as u32, row.get(1)?, label))
        })
    }
}
