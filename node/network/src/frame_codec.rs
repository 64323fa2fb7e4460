//! The codec of request and response: a length, then as many bytes, both bounded before anything is read.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;

/// What comes back for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The owner's answer.
    Answer(Bytes),
    /// A limit is reached; ask later.
    Busy,
    /// The owner gave no answer.
    Unanswered,
}

const ANSWER: u8 = 0;
const BUSY: u8 = 1;
const UNANSWERED: u8 = 2;

/// Length-prefixed bytes. A request is `u32 length ‖ bytes`; a response is `u8 status ‖ u32 length ‖ bytes`.
#[derive(Debug, Clone)]
pub(crate) struct FrameCodec {
    pub(crate) max_request: usize,
    pub(crate) max_response: usize,
}

impl request_response::Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Reply;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, self.max_request).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Reply>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut status = [0];
        io.read_exact(&mut status).await?;
        match status[0] {
            ANSWER => read_frame(io, self.max_response).await.map(Reply::Answer),
            BUSY => Ok(Reply::Busy),
            UNANSWERED => Ok(Reply::Unanswered),
            other => Err(invalid(format!("unknown status {other} of a response"))),
        }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Bytes) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, reply: Reply) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match reply {
            Reply::Answer(bytes) => {
                io.write_all(&[ANSWER]).await?;
                write_frame(io, &bytes).await
            }
            Reply::Busy => io.write_all(&[BUSY]).await,
            Reply::Unanswered => io.write_all(&[UNANSWERED]).await,
        }
    }
}

async fn read_frame(io: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Bytes> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > max {
        return Err(invalid(format!("{length} bytes are over the limit of {max}")));
    }
    // Grows with what arrives: a claimed length alone takes no memory.
    let mut bytes = Vec::new();
    io.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

async fn write_frame(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| invalid("over 4 GiB".to_owned()))?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(bytes).await
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;
    use libp2p::request_response::Codec;

    use super::*;

    const PROTOCOL: StreamProtocol = StreamProtocol::new("/test");

    fn codec() -> FrameCodec {
        FrameCodec { max_request: 4, max_response: 8 }
    }

    fn read_request(bytes: &[u8]) -> io::Result<Bytes> {
        block_on(codec().read_request(&PROTOCOL, &mut Cursor::new(bytes.to_vec())))
    }

    #[test]
    fn what_is_written_is_read() {
        let mut wire = Vec::new();
        block_on(codec().write_request(&PROTOCOL, &mut wire, Bytes::from_static(b"abcd"))).unwrap();
        assert_eq!(wire, b"\0\0\0\x04abcd");
        assert_eq!(read_request(&wire).unwrap(), "abcd");
        for reply in [Reply::Answer(Bytes::from_static(b"12345678")), Reply::Busy, Reply::Unanswered] {
            let mut wire = Vec::new();
            block_on(codec().write_response(&PROTOCOL, &mut wire, reply.clone())).unwrap();
            assert_eq!(block_on(codec().read_response(&PROTOCOL, &mut Cursor::new(wire))).unwrap(), reply);
        }
    }

    #[test]
    fn too_long_cut_short_and_unknown_are_errors() {
        assert_eq!(read_request(b"\0\0\0\x05abcde").unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_request(b"\xff\xff\xff\xff").unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_request(b"\0\0\0\x04abc").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let response = block_on(codec().read_response(&PROTOCOL, &mut Cursor::new(b"\x09".to_vec())));
        assert_eq!(response.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
