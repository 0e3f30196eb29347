//! Label indices, which Prometheus wrote up to 3.6: that they agree with the postings offset table.
//!
//! Nothing is read by them, so what is wrong with them harms no sample. It shows that bytes of the file are not those
//! that were written.

use tsdb_reader::Error;
use tsdb_reader::index::{Index, LabelIndex, LabelIndexEntry, PostingsTable, Symbols};
use tsdb_reader::source::BlockFile;

use super::places::Part;
use super::{Checker, refusal};

const FILE: BlockFile = BlockFile::Index;

/// How often the bytes of an index may be read as label indices: once, if none share theirs, and more where a length is
/// broken. To read them as often as they are named could take forever.
const READ_AGAIN: u64 = 4;

impl Checker<'_> {
    /// Checks the label indices of an index that has some, as far as symbols and table can be read.
    pub(super) fn label_indices(
        &mut self,
        index: &Index,
        symbols: Option<&Symbols>,
        table: Option<&PostingsTable>,
    ) {
        let labels = match index.label_index_table() {
            Ok(None) => return,
            Ok(Some(labels)) => labels,
            Err(error) => {
                self.places.lose();
                return self.bad_table(index, &error);
            }
        };
        self.place_of_section(index, Part::LabelIndexTable, index.toc().label_indices_table);
        let (mut read, mut sound) = (0u64, 0u64);
        for entry in labels.entries() {
            let place = index.section_place(entry.offset).unwrap_or_default();
            read = read.saturating_add(place.end.saturating_sub(place.start));
            if read > index.size_bytes().saturating_mul(READ_AGAIN) {
                self.places.lose();
                sound = u64::MAX;
                break;
            }
            sound = sound.saturating_add(self.label_index(index, entry, symbols, table.is_some()));
        }
        let toc = index.toc();
        if sound > toc.postings.saturating_sub(toc.label_indices) {
            let at = toc.label_indices_table;
            let message = format!(
                "by the table at offset {at:#x} label indices take more bytes than their section has, so some share \
                 theirs; nothing reads them"
            );
            self.broken("legacy-label-index-overlap", FILE, message);
        }
        if table.is_none() {
            return;
        }
        let mut entries = labels.entries().map(|entry| entry.name).peekable();
        for name in index.label_names().into_iter().flatten() {
            while entries.next_if(|known| *known < name).is_some() {}
            if entries.next_if_eq(&name).is_none() {
                let name = String::from_utf8_lossy(name);
                let at = index.toc().label_indices_table;
                let message =
                    format!("the table at offset {at:#x} has no label index of {name:?}; nothing reads it");
                self.broken("legacy-label-index-missing", FILE, message);
            }
        }
    }

    /// A table of contents without label indices may have no place for their table: one of the two is wrong.
    fn bad_table(&mut self, index: &Index, error: &Error) {
        let toc = index.toc();
        if toc.label_indices != toc.postings {
            return self.error("legacy-label-table", FILE, error);
        }
        if self.broken_toc.is_none() {
            let message = format!(
                "the table of contents has no label indices, and yet their table at {:#x}, not where the postings \
                 table is, at {:#x}",
                toc.label_indices_table, toc.postings_table
            );
            self.broken("toc-wrong", FILE, message);
        }
    }

    /// Returns how many bytes it has, if it can be read.
    fn label_index(
        &mut self,
        index: &Index,
        entry: LabelIndexEntry<'_>,
        symbols: Option<&Symbols>,
        compare: bool,
    ) -> u64 {
        let name = String::from_utf8_lossy(entry.name);
        let place = format!("the label index of {name:?} at offset {:#x}", entry.offset);
        let label_index = match index.label_index(entry.offset) {
            Ok(label_index) => label_index,
            Err(error) => {
                self.places.lose();
                self.bad_label_index(&error, &place);
                return 0;
            }
        };
        if let Some(symbols) = symbols {
            let compared = compare.then_some(index);
            self.label_index_values(compared, entry.name, &label_index, symbols, &place);
        }
        self.place_of_section(index, Part::LabelIndex, entry.offset)
    }

    /// Checks the values of the label index of `name`; against the postings of `index` if that is given.
    fn label_index_values(
        &mut self,
        index: Option<&Index>,
        name: &[u8],
        label_index: &LabelIndex,
        symbols: &Symbols,
        place: &str,
    ) {
        let mut last: Option<&[u8]> = None;
        for value in label_index.values(symbols) {
            let value = match value {
                Ok(value) => value,
                Err(error) => return self.bad_label_index(&error.in_file(FILE), place),
            };
            if last.is_some_and(|last| last >= value) {
                let value = String::from_utf8_lossy(value);
                let message = format!("{value:?} does not come after the value before, in {place}");
                return self.broken("legacy-label-index-out-of-order", FILE, message);
            }
            last = Some(value);
        }
        let Some(index) = index else { return };
        let listed = index.label_values(name).into_iter().flatten().map(|(value, _)| value);
        let mut found = label_index.values(symbols).filter_map(Result::ok).peekable();
        for value in listed {
            if found.next_if_eq(&value).is_none() {
                let value = String::from_utf8_lossy(value);
                let message = format!("{value:?} is missing in {place}; nothing reads it");
                return self.broken("legacy-label-index-values", FILE, message);
            }
        }
        if let Some(value) = found.next() {
            let value = String::from_utf8_lossy(value);
            let message = format!("{value:?}, for which there is no postings list, is in {place}");
            self.broken("legacy-label-index-values", FILE, message);
        }
    }

    /// What the reader refuses of a label index, with its label name beside it.
    fn bad_label_index(&mut self, error: &Error, place: &str) {
        let (name, message) = refusal("legacy-label-index", error);
        self.broken(&name, FILE, format!("{message}: {place}; nothing reads it"));
    }
}
