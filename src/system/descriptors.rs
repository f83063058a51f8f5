use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// So many open files go with one message.
pub const MOST_DESCRIPTORS: usize = 16;

/// Sends a line, and with its first byte open files, which the receiver then has open as well.
///
/// Source: unix(7), `SCM_RIGHTS`.
///
/// # Errors
/// Those of sendmsg(2); more than [`MOST_DESCRIPTORS`] files are [`ErrorKind::InvalidInput`].
pub async fn send_descriptors(stream: &UnixStream, line: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut sent = 0;
    while sent < line.len() {
        let with = if sent == 0 { descriptors } else { &[] };
        sent += stream.async_io(Interest::WRITABLE, || send(stream, &line[sent..], with)).await?;
    }
    Ok(())
}

fn send(stream: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // The space is rounded up, and would take one more than is received.
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(Error::new(ErrorKind::InvalidInput, "too many open files for one message"));
    }
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    Ok(sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::empty())?)
}

/// Reads a line of at most `longest` bytes with the open files that came with it. Nothing behind the line may have been
/// sent yet: files that come with bytes which somebody reads without asking for files are closed by the kernel.
///
/// # Errors
/// Those of recvmsg(2); [`ErrorKind::UnexpectedEof`] where the line does not end.
pub async fn receive_descriptors(stream: &UnixStream, longest: usize) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') {
        let count = stream.async_io(Interest::READABLE, || receive(stream, &mut line, &mut descriptors)).await?;
        if count == 0 || line.len() > longest {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((line, descriptors))
}

fn receive(stream: &UnixStream, line: &mut Vec<u8>, descriptors: &mut Vec<OwnedFd>) -> Result<usize> {
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty());
    let count = received.map_err(|errno: Errno| Error::from(errno))?.bytes;
    for message in control.drain() {
        let RecvAncillaryMessage::ScmRights(received) = message else { continue };
        for descriptor in received {
            // No program that is started later may hold a port open. (MSG_CMSG_CLOEXEC is Linux's alone.)
            fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
            descriptors.push(descriptor);
        }
    }
    line.extend_from_slice(&bytes[..count]);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn a_listener_that_was_handed_over_goes_on_when_its_first_owner_has_closed_it() {
        let (near, far) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        send_descriptors(&near, b"here\n", &[listener.as_fd(), listener.as_fd()]).await.unwrap();
        drop(listener);
        // Accepted by nobody so far, and refused by nobody either.
        let client = std::net::TcpStream::connect(address).unwrap();
        let (line, mut received) = receive_descriptors(&far, 100).await.unwrap();
        assert_eq!((line.as_slice(), received.len()), (&b"here\n"[..], 2));
        let listener = TcpListener::from(received.remove(0));
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
        assert!(rustix::io::fcntl_getfd(&listener).unwrap().contains(FdFlags::CLOEXEC));
        drop((listener, received));
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[tokio::test]
    async fn a_line_without_files_or_without_an_end_is_told() {
        let (mut near, far) = UnixStream::pair().unwrap();
        send_descriptors(&near, b"nothing\n", &[]).await.unwrap();
        assert!(receive_descriptors(&far, 100).await.unwrap().1.is_empty());
        let file = near.as_fd().try_clone_to_owned().unwrap();
        let many = [file.as_fd(); MOST_DESCRIPTORS + 1];
        let refused = send_descriptors(&near, b"all\n", &many).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        near.write_all(&[b'x'; 300]).await.unwrap();
        assert_eq!(receive_descriptors(&far, 100).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        drop((near, file));
        assert_eq!(receive_descriptors(&far, 100).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
