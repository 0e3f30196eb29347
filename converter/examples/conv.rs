use std::path::Path;use std::sync::atomic::AtomicBool;
use tsdb_converter::convert::*;use tsdb_converter::options::*;use tsdb_converter::sink::*;
fn main(){let a:Vec<String>=std::env::args().collect();
let mut o=ConvertOptions::default();
for f in &a[4..]{match f.as_str(){"compact"=>o.output.profile=Profile::Compact,"flat"=>o.output.layout=Layout::Flat,"ndjson"=>{o.output=OutputOptions::new(Format::Ndjson);o.output.compression=Compression::None},_=>{}}}
let r=RunOptions{threads:a[3].parse().unwrap(),memory_limit:512<<20,temp_dir:"/tmp".into(),strict:false};
let t=std::time::Instant::now();
let rep=convert(&[a[1].clone().into()],Path::new(&a[2]),&o,&r,&Default::default(),&AtomicBool::new(false)).unwrap();
println!("{:?} {:?} {:?} adds_up {}",t.elapsed(),rep.samples,rep.tables,rep.adds_up);
let s=std::fs::read_to_string("/proc/self/status").unwrap();for l in s.lines(){if l.starts_with("VmHWM")||l.starts_with("RssAnon"){println!("{l}")}}
}
