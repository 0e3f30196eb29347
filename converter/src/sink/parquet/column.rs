//! One column chunk, page by page.
//!
//! ```text
//! ┌────────────────────┬─────────────┬─────────────┬───┐
//! │ dictionary page    │ data page 0 │ data page 1 │ … │      offsets relative to the chunk
//! └────────────────────┴─────────────┴─────────────┴───┘
//! ```
//! The library's column writers take one row at a time; rows of one series share their metric, labels and
//! `series_id`, so these pages are made from runs instead. Headers, footer and index go through the library.

use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::compress::PageCompressor;
use crate::sink::SinkError;

/// A column chunk, ready to be appended to a file.
#[derive(Debug)]
pub(super) struct EncodedColumn {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Smallest and largest value of a page or chunk, as PLAIN bytes without a length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: Vec<u8>,
    pub(super) max: Vec<u8>,
}

/// A data page.
pub(super) struct DataPage<'a> {
    /// Levels and values.
    pub(super) body: &'a [u8],
    /// Rows, nulls included.
    pub(super) rows: u32,
    /// Values and nulls: as many as rows, unless the rows are lists.
    pub(super) entries: u32,
    /// Nulls, empty lists among them.
    pub(super) nulls: u32,
    /// Encoding of the values.
    pub(super) encoding: Encoding,
    /// For the column index; `None` where all rows are null.
    pub(super) bounds: Option<Bounds>,
}

/// Writes one column chunk.
pub(super) struct ColumnChunkWriter<'a> {
    descr: ColumnDescPtr,
    codec: Compression,
    compressor: &'a mut PageCompressor,
    sink: TrackedWrite<Vec<u8>>,
    rows: u64,
    entries: u64,
    nulls: u64,
    uncompressed_size: usize,
    dictionary: bool,
    first_data_page: Option<u64>,
    data_pages: Vec<PageEncodingStats>,
    offsets: OffsetIndexBuilder,
    /// Bounds of the pages, if the column is to have a column index.
    page_bounds: Option<Vec<(Option<Bounds>, u32)>>,
}

impl<'a> ColumnChunkWriter<'a> {
    /// Begins a chunk; `indexed` columns get a column index.
    pub(super) fn new(
        descr: ColumnDescPtr,
        codec: Compression,
        compressor: &'a mut PageCompressor,
        indexed: bool,
    ) -> Self {
        Self {
            descr,
            codec,
            compressor,
            sink: TrackedWrite::new(Vec::new()),
            rows: 0,
            entries: 0,
            nulls: 0,
            uncompressed_size: 0,
            dictionary: false,
            first_data_page: None,
            data_pages: Vec::new(),
            offsets: OffsetIndexBuilder::new(),
            page_bounds: indexed.then(Vec::new),
        }
    }

    /// Writes the dictionary page: values as PLAIN. It comes before all data pages, once.
    pub(super) fn dictionary(&mut self, body: &[u8], entries: u32) -> Result<(), SinkError> {
        self.dictionary = true;
        let buf = self.compress(body)?;
        let page =
            Page::DictionaryPage { buf, num_values: entries, encoding: Encoding::PLAIN, is_sorted: false };
        self.write(page, body.len())?;
        Ok(())
    }

    /// Writes a data page.
    pub(super) fn data_page(&mut self, page: DataPage<'_>) -> Result<(), SinkError> {
        let buf = self.compress(page.body)?;
        let written = self.write(
            Page::DataPage {
                buf,
                num_values: page.entries,
                encoding: page.encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
            page.body.len(),
        )?;
        self.first_data_page.get_or_insert(written.offset);
        self.offsets.append_row_count(i64::from(page.rows));
        let size = i32::try_from(written.size).map_err(|_| self.too_large(page.body.len()))?;
        self.offsets.append_offset_and_size(written.offset.cast_signed(), size);
        match self.data_pages.iter_mut().find(|stats| stats.encoding == page.encoding) {
            Some(stats) => stats.count += 1,
            None => self.data_pages.push(PageEncodingStats {
                page_type: PageType::DATA_PAGE,
                encoding: page.encoding,
                count: 1,
            }),
        }
        self.rows += u64::from(page.rows);
        self.entries += u64::from(page.entries);
        self.nulls += u64::from(page.nulls);
        if let Some(page_bounds) = &mut self.page_bounds {
            page_bounds.push((page.bounds, page.nulls));
        }
        Ok(())
    }

    /// Ends the chunk. `statistics` makes the chunk's statistics of its nulls.
    pub(super) fn close(
        self,
        statistics: impl FnOnce(u64) -> Option<Statistics>,
    ) -> Result<EncodedColumn, SinkError> {
        let column_index = self.page_bounds.map(|pages| column_index(&self.descr, pages)).transpose()?;
        let compressed_size = self.sink.bytes_written();
        let mut encodings: Vec<Encoding> = self.data_pages.iter().map(|stats| stats.encoding).collect();
        encodings.push(Encoding::RLE);
        let mut page_stats = self.data_pages;
        if self.dictionary {
            encodings.push(Encoding::PLAIN);
            page_stats.insert(
                0,
                PageEncodingStats {
                    page_type: PageType::DICTIONARY_PAGE,
                    encoding: Encoding::PLAIN,
                    count: 1,
                },
            );
        }
        let mut metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression(self.codec)
            .set_encodings(encodings)
            .set_page_encoding_stats(page_stats)
            .set_num_values(self.entries.cast_signed())
            .set_total_compressed_size(compressed_size as i64)
            .set_total_uncompressed_size(self.uncompressed_size as i64)
            .set_dictionary_page_offset(self.dictionary.then_some(0))
            .set_data_page_offset(self.first_data_page.unwrap_or_default().cast_signed());
        if let Some(statistics) = statistics(self.nulls) {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: compressed_size as u64,
            rows_written: self.rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index,
            offset_index: Some(self.offsets.build()),
        };
        Ok(EncodedColumn { bytes: self.sink.into_inner()?.into(), close })
    }

    fn compress(&mut self, body: &[u8]) -> Result<Bytes, SinkError> {
        if i32::try_from(body.len()).is_err() {
            return Err(self.too_large(body.len()));
        }
        Ok(self.compressor.compress(body)?.into())
    }

    fn write(&mut self, page: Page, uncompressed_size: usize) -> Result<WrittenPage, SinkError> {
        let mut writer = SerializedPageWriter::new(&mut self.sink);
        let written = writer.write_page(CompressedPage::new(page, uncompressed_size))?;
        self.uncompressed_size += written.uncompressed_size;
        Ok(WrittenPage { offset: written.offset, size: written.bytes_written })
    }

    fn too_large(&self, size_bytes: usize) -> SinkError {
        SinkError::PageTooLarge { column: self.descr.name().to_owned(), size_bytes }
    }
}

struct WrittenPage {
    offset: u64,
    size: u64,
}

fn column_index(
    descr: &ColumnDescPtr,
    pages: Vec<(Option<Bounds>, u32)>,
) -> Result<parquet::file::page_index::column_index::ColumnIndexMetaData, SinkError> {
    let mut index = ColumnIndexBuilder::new(descr.physical_type());
    index.set_boundary_order(boundary_order(descr, &pages));
    for (bounds, nulls) in pages {
        let null_page = bounds.is_none();
        let (min, max) = bounds.map(|bounds| (bounds.min, bounds.max)).unwrap_or_default();
        index.append(null_page, min, max, i64::from(nulls), None);
    }
    Ok(index.build()?)
}

/// Ascending only where both bounds ascend from page to page; readers search such an index by halves.
fn boundary_order(descr: &ColumnDescPtr, pages: &[(Option<Bounds>, u32)]) -> BoundaryOrder {
    let ascends = |bound: fn(&Bounds) -> &Vec<u8>| {
        let bounds = pages.iter().filter_map(|(bounds, _)| bounds.as_ref().map(bound));
        match descr.physical_type() {
            parquet::basic::Type::INT64 => bounds
                .map(|bytes| bytes.as_slice().try_into().map(i64::from_le_bytes).unwrap_or_default())
                .is_sorted(),
            _ => bounds.is_sorted(),
        }
    };
    match ascends(|bounds| &bounds.min) && ascends(|bounds| &bounds.max) {
        true => BoundaryOrder::ASCENDING,
        false => BoundaryOrder::UNORDERED,
    }
}
