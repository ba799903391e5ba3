//! A command of the standard library alone.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, process, thread};

fn attempt<T>(name: &str, result: io::Result<T>) {
    match result {
        Ok(_) => println!("{name}: done"),
        Err(error) => println!("{name}: refused ({error})"),
    }
}

fn files() -> io::Result<()> {
    let text = fs::read_to_string("data/in.txt")?;
    println!("read: {}", text.trim_end());
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir("data")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    println!("listed: {}", names.join(" "));
    fs::create_dir_all("out/deep")?;
    fs::write("out/deep/draft.txt", text.to_uppercase())?;
    fs::OpenOptions::new().append(true).open("out/deep/draft.txt")?.write_all(b"more\n")?;
    fs::rename("out/deep/draft.txt", "out/result.txt")?;
    fs::remove_dir("out/deep")?;
    println!("size: {}", fs::metadata("out/result.txt")?.len());
    Ok(())
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    println!("arguments: {}", arguments.join("|"));
    println!("variable: {}", env::var("GREETING").unwrap_or_else(|_| "none".into()));
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).expect("stdin can be read");
    println!("stdin: {}", input.len());

    if let Err(error) = files() {
        println!("files: {error}");
    }
    attempt("up", fs::read("data/../../secret.txt"));
    attempt("absolute", fs::read("/etc/passwd"));
    attempt("link", fs::read("data/link.txt"));
    attempt("read-only", fs::write("data/in.txt", "gone"));
    attempt("remove", fs::remove_file("data/in.txt"));

    println!("random: {:016x}", RandomState::new().build_hasher().finish());
    let (began, day) = (Instant::now(), SystemTime::now());
    thread::sleep(Duration::from_millis(20));
    println!("slept: {}", began.elapsed() >= Duration::from_millis(20) && day.elapsed().is_ok());
    println!("time: {}", SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs());

    attempt("tcp", TcpStream::connect("127.0.0.1:9"));
    attempt("udp", UdpSocket::bind("127.0.0.1:0"));
    attempt("name", "example.invalid:80".to_socket_addrs());
    eprintln!("bye");
    if arguments.iter().any(|word| word == "fail") {
        process::exit(1);
    }
}
