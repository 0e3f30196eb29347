#![no_main]

use libfuzzer_sys::fuzz_target;
use tsdb_reader::Encoding;

fuzz_target!(|data: &[u8]| fuzz::decode_histograms(Encoding::FloatHistogramSt, data));
