//! Images of a scan by what they are and what the network names them.

use rusqlite::params;

use super::ScanFile;
use crate::error::Result;

impl ScanFile {
    /// Returns the images of a data class that were read: their indices and files.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn images_of(&self, class: &str) -> Result<Vec<(u32, String)>> {
        let sql = "SELECT i.image, i.file FROM images i JOIN classes c USING (class) \
                   WHERE c.name = ? AND i.height IS NOT NULL ORDER BY i.image";
        self.all(sql, params![class], |row| Ok((row.get::<_, i64>(0)? as u32, row.get(1)?)))
    }

    /// Returns the images of a data class that the network names first as this class of its own, with the
    /// most probable first: their indices and files.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn images_named(&self, class: &str, label: usize) -> Result<Vec<(u32, String)>> {
        let sql = "SELECT i.image, i.file FROM images i JOIN classes c USING (class) \
                   WHERE c.name = ? AND i.label = ? ORDER BY i.probability DESC, i.image";
        self.all(sql, params![class, label as i64], |row| Ok((row.get::<_, i64>(0)? as u32, row.get(1)?)))
    }
}
