//! Placeholder.
use crate::blocks::OpenBlock;
use crate::finding::Finding;
/// x
pub fn verify_block(_block: &OpenBlock) -> Vec<Finding> {
    Vec::new()
}
