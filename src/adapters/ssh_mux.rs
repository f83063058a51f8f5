//! The three words of OpenSSH's multiplexing protocol that the openssh crate does not offer.
//!
//! Source: `PROTOCOL.mux` of OpenSSH (message numbers are the same since 5.x). A plain connection to the control
//! socket is also the best notice of the master's death: it is nobody's child (`ssh -f`), but the kernel closes its
//! sockets in the moment it ends, whatever ended it (measured: 0.5 ms after SIGKILL). It needs no pid, works on
//! macOS, and costs nothing while it waits.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const HELLO: u32 = 0x0000_0001;
const VERSION: u32 = 4;
const ALIVE_CHECK: u32 = 0x1000_0004;
const TERMINATE: u32 = 0x1000_0005;
const ALIVE: u32 = 0x8000_0005;
const LONGEST_MESSAGE: u32 = 64 * 1024;

/// A connection to a master.
pub(super) struct Mux(UnixStream);

impl Mux {
    /// Connects, and greets.
    pub(super) async fn connect(control_path: &Path) -> Result<Self> {
        let mut mux = Self(UnixStream::connect(control_path).await?);
        mux.send(&[HELLO, VERSION]).await?;
        match mux.receive().await?.as_slice() {
            [HELLO, VERSION, ..] => Ok(mux),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// The master's pid. It proves that the local process runs, and nothing about the bastion.
    pub(super) async fn pid(&mut self) -> Result<u32> {
        self.send(&[ALIVE_CHECK, 1]).await?;
        match self.receive().await?.as_slice() {
            [ALIVE, 1, pid] => Ok(*pid),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// Tells the master to end with everything that runs through it (`ssh -O exit`). The crate's own `close` only
    /// makes it stop listening, and its forwards live on until their last client leaves.
    pub(super) async fn terminate(&mut self) -> Result<()> {
        self.send(&[TERMINATE, 2]).await
    }

    /// Waits for the master's end.
    pub(super) async fn ended(mut self) {
        let mut bytes = [0; 64];
        while matches!(self.0.read(&mut bytes).await, Ok(count) if count > 0) {}
    }

    async fn send(&mut self, words: &[u32]) -> Result<()> {
        let length = u32::try_from(words.len() * 4).map_err(Error::other)?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        self.0.write_all(&message).await
    }

    async fn receive(&mut self) -> Result<Vec<u32>> {
        let length = self.0.read_u32().await?;
        if length > LONGEST_MESSAGE {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; length as usize];
        self.0.read_exact(&mut message).await?;
        Ok(message.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect())
    }
}
