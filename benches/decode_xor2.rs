//! How fast XOR2 chunks decode. See `decode.rs`.

use std::error::Error;

mod decode;
mod resident;
mod scrapes;

fn main() -> Result<(), Box<dyn Error>> {
    decode::main(scrapes::Floats::Xor2)
}
