//! The index: symbols, postings offset table, every postings list, and what lies between them.

use tsdb_reader::index::{Index, Layout, Symbols};
use tsdb_reader::source::BlockFile;

use super::Checker;
use super::places::Part;
use super::series::Found;

const FILE: BlockFile = BlockFile::Index;

impl Checker<'_> {
    /// Checks the index and all that it refers to; none when its series cannot be read at all.
    pub(super) fn index(&mut self, index: &Index) -> Option<Found> {
        let symbols = index.symbols();
        self.places_of_series(index, symbols.is_err());
        let found = match &symbols {
            Ok(symbols) => {
                self.place_of_section(index, Part::Symbols, index.toc().symbols);
                self.symbols(symbols);
                Some(self.series(index))
            }
            // Labels are references to symbols; chunks stand for themselves.
            Err(error) => {
                self.places.lose();
                self.error("symbols", FILE, error);
                self.chunks_alone();
                None
            }
        };
        let table = index.postings_table();
        match &table {
            Err(error) => {
                self.places.lose();
                self.error("postings-table", FILE, error);
            }
            Ok(table) => {
                self.place_of_section(index, Part::PostingsTable, index.toc().postings_table);
                if index.layout() == Layout::V2 && !table.is_in_order() {
                    let at = index.toc().postings_table;
                    let message =
                        format!("label pairs of the table at offset {at:#x} are not in label order");
                    self.broken("postings-table-out-of-order", FILE, message);
                }
                self.postings(index, table, found.is_some_and(|found| !found.has_unreadable_series));
            }
        }
        self.label_indices(index, symbols.ok(), table.ok());
        self.places(index);
        found
    }

    fn symbols(&mut self, symbols: &Symbols) {
        let mut last: Option<&[u8]> = None;
        for (symbol, text) in symbols.iter() {
            if let Some(before) = last.filter(|last| *last >= text) {
                let offset = symbols.offset(symbol).unwrap_or_default();
                let place =
                    format!("symbol {} at offset {offset:#x} {:?}", symbol.0, String::from_utf8_lossy(text));
                if before == text {
                    self.broken("symbols-duplicate", FILE, format!("{place} is the one before it again"));
                } else {
                    let message = format!("{place} comes after one that is greater");
                    self.broken("symbols-out-of-order", FILE, message);
                }
            }
            last = Some(text);
        }
    }
}
