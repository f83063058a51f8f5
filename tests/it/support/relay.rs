use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long an answer is under way: longer than a busy machine lets a client stand still between two requests.
const LENGTH: Duration = Duration::from_millis(100);

/// Terminate, which asks for no answer, and may arrive when the next connection is at work already.
const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// ReadyForQuery outside of a transaction (PostgreSQL documentation, "Message Formats"): the commit has been done.
const READY_AND_IDLE: &[u8] = b"Z\0\0\0\x05I";

/// A TCP relay on 127.0.0.1 that counts round trips and can be cut.
///
/// A round trip is counted, of the first connection after the last count, each time the direction turns from answers to requests: what a client must wait for. The
/// link has a length, so that requests sent without waiting are all under way before the first answer arrives.
pub(crate) struct Relay {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    turns: AtomicUsize,
    /// A connection has been accepted whose turns are counted.
    is_counting: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    /// Answers are swallowed, and the connection is cut, once a request holds this.
    cut_behind: Mutex<Option<(Vec<u8>, bool)>>,
    swallowing: AtomicBool,
    /// Messages of both directions so far.
    messages: AtomicUsize,
    misfortune: Mutex<Option<Misfortune>>,
    /// No time is spent on the way.
    short: AtomicBool,
}

/// One connection.
struct Link {
    /// The last bytes came from the client.
    asking: AtomicBool,
    is_counted: bool,
}

/// What happens to the message of this number, before or after it is delivered.
struct Misfortune {
    at: usize,
    before: bool,
    act: Box<dyn FnOnce() + Send>,
}

impl Relay {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                shared.streams.lock().unwrap().extend(both);
                shared.swallowing.store(false, Ordering::SeqCst);
                let link = Arc::new(Link {
                    asking: AtomicBool::new(false),
                    is_counted: !shared.is_counting.swap(true, Ordering::SeqCst),
                });
                let (up, down, other) = (shared.clone(), shared.clone(), link.clone());
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || up.carry(from, to, true, &link));
                thread::spawn(move || down.carry(server, client, false, &other));
            }
        });
        Self { port: own, state }
    }

    /// Round trips since the last call.
    pub(crate) fn take_round_trips(&self) -> usize {
        self.state.is_counting.store(false, Ordering::SeqCst);
        self.state.turns.swap(0, Ordering::SeqCst)
    }

    /// Cuts the connection when a request that holds `needle` comes: at once, or (`delivered`) when the transaction that it is
    /// a part of has ended.
    pub(crate) fn cut_at(&self, needle: &str, delivered: bool) {
        *self.state.cut_behind.lock().unwrap() = Some((needle.as_bytes().to_vec(), delivered));
    }

    /// Lets answers arrive at once: for tests that count nothing.
    pub(crate) fn shorten(&self) {
        self.state.short.store(true, Ordering::SeqCst);
    }

    /// Acts when so many more messages, in whichever direction, came by; the last is delivered before or after.
    pub(crate) fn act_at(&self, messages: usize, before: bool, act: impl FnOnce() + Send + 'static) {
        let at = self.state.messages.load(Ordering::SeqCst) + messages;
        *self.state.misfortune.lock().unwrap() = Some(Misfortune { at, before, act: Box::new(act) });
    }

    /// What was to come has not come; nothing will.
    pub(crate) fn spare(&self) {
        *self.state.misfortune.lock().unwrap() = None;
    }

    /// A way to cut every connection from elsewhere.
    pub(crate) fn scissors(&self) -> impl FnOnce() + Send + 'static {
        let state = self.state.clone();
        move || state.cut()
    }

    /// Cuts every connection, whatever is under way.
    pub(crate) fn cut_now(&self) {
        self.state.cut();
    }
}

impl State {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, is_request: bool, link: &Link) {
        let mut buffer = vec![0; 1 << 16];
        let mut swallowed = Vec::new();
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..count];
            let number = self.messages.fetch_add(1, Ordering::SeqCst) + 1;
            let mut misfortune = self.misfortune.lock().unwrap().take_if(|misfortune| misfortune.at <= number);
            if let Some(misfortune) = misfortune.take_if(|misfortune| misfortune.before) {
                (misfortune.act)();
            }
            if is_request {
                if bytes != TERMINATE && !link.asking.swap(true, Ordering::SeqCst) && link.is_counted {
                    self.turns.fetch_add(1, Ordering::SeqCst);
                }
                let cut = self.cut_behind.lock().unwrap().take_if(|(needle, _)| contains(bytes, needle));
                if let Some((_, delivered)) = cut {
                    self.swallowing.store(true, Ordering::SeqCst);
                    if delivered {
                        let _ = to.write_all(bytes);
                        // `carry` of the other way cuts when the server has done the work.
                        continue;
                    }
                    self.cut();
                    return;
                }
            } else {
                // Once for all of an answer, however many pieces it comes in.
                if link.asking.load(Ordering::SeqCst) && !self.short.load(Ordering::SeqCst) {
                    thread::sleep(LENGTH);
                }
                link.asking.store(false, Ordering::SeqCst);
                if self.swallowing.load(Ordering::SeqCst) {
                    swallowed.extend_from_slice(bytes);
                    if contains(&swallowed, READY_AND_IDLE) {
                        self.cut();
                        return;
                    }
                    continue;
                }
            }
            let delivered = to.write_all(bytes);
            if let Some(misfortune) = misfortune {
                (misfortune.act)();
            }
            if delivered.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
