//! Operators that move, select or create the elements of tensors.

pub mod broadcast;
pub mod center_crop;
pub mod concat;
pub mod constant;
pub mod gather;
pub(crate) mod index_map;
pub mod layout;
pub(crate) mod lookup;
pub mod one_hot;
pub(crate) mod reorder;
pub mod scatter;
pub mod select;
pub(crate) mod tap;
pub mod view;
