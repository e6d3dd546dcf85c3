//! Flags that name units.

use oneiro_jobs::Error;
use oneiro_jobs::model::unit_list::{Numbers, UnitList, UnitListError};

/// One or several units.
pub fn parse_list(text: &str) -> Result<UnitList, Error> {
    UnitList::parse(text)
}

/// Channels of a layer.
pub fn parse_channels(text: &str) -> Result<Numbers, UnitListError> {
    Numbers::parse(text)
}

/// One or several classes.
pub fn parse_classes(text: &str) -> Result<UnitList, Error> {
    UnitList::parse_classes(text)
}
