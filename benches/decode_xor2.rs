//! How fast XOR2 chunks decode. See `decode.rs`.

use std::error::Error;

mod decode;
mod resident;

fn main() -> Result<(), Box<dyn Error>> {
    decode::main(decode::Floats::Xor2)
}
