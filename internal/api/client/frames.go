package client

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A stream on its way is a row of frames, each a length of four bytes, big-endian,
// and that many bytes. Three lengths mean something else: 0 is a sign of life,
// frameEnd comes once after all that there was, with its length (8 bytes) and
// SHA-256 (32 bytes), and frameFailed says in place of that why there is no more,
// as a text with its length (2 bytes). A stream without frameEnd is not whole,
// however its connection ended. The controller passes frames on and knows nothing
// of them.
const (
	maxFrame    = 64 << 10
	frameFailed = 0xFFFFFFFE
	frameEnd    = 0xFFFFFFFF

	frameHead = 4
	maxReason = 1 << 10 // of frameFailed, in bytes
)

// errCut is a stream that ended before its end.
var errCut = errors.New("the stream was cut off")

// A sourceError is what kept the sender from reading on.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// frames writes a stream. Signs of life come in between.
type frames struct {
	wrote func() // called after each frame

	mu  sync.Mutex
	out io.Writer
	at  time.Time // of the last frame
}

func (f *frames) write(frame []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writeLocked(frame)
}

func (f *frames) writeLocked(frame []byte) error {
	_, err := f.out.Write(frame)
	f.at = time.Now()
	if err == nil {
		f.wrote()
	}
	return err
}

// send writes all that r has, and its end. An error of r is a sourceError if the
// taker could be told of it.
func (f *frames) send(r io.Reader, beat time.Duration) (nic.Copied, error) {
	defer f.beat(beat)()
	sum, size := sha256.New(), int64(0)
	frame := make([]byte, frameHead+maxFrame)
	for {
		n, err := r.Read(frame[frameHead:])
		if n > 0 {
			binary.BigEndian.PutUint32(frame, uint32(n))
			if err := f.write(frame[:frameHead+n]); err != nil {
				return nic.Copied{}, err
			}
			sum.Write(frame[frameHead : frameHead+n])
			size += int64(n)
		}
		switch {
		case err == io.EOF:
			return copied(size, sum), f.write(endFrame(size, sum))
		case err != nil:
			if err := f.write(failedFrame(err.Error())); err != nil {
				return nic.Copied{}, err
			}
			return nic.Copied{}, &sourceError{err}
		}
	}
}

// beat writes a sign of life whenever nothing else has been written for so long.
func (f *frames) beat(every time.Duration) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				if !f.mu.TryLock() {
					continue // a frame is on its way
				}
				if time.Since(f.at) >= every {
					_ = f.writeLocked(make([]byte, frameHead)) // the next frame meets the same error
				}
				f.mu.Unlock()
			}
		}
	}()
	return func() { close(end); <-ended }
}

func endFrame(size int64, sum hash.Hash) []byte {
	frame := binary.BigEndian.AppendUint32(nil, frameEnd)
	return sum.Sum(binary.BigEndian.AppendUint64(frame, uint64(size)))
}

func failedFrame(why string) []byte {
	why = why[:min(len(why), maxReason)]
	frame := binary.BigEndian.AppendUint32(nil, frameFailed)
	return append(binary.BigEndian.AppendUint16(frame, uint16(len(why))), why...)
}

// takeFrames writes to w what the frames of r bring, until their end. Without that
// it is errCut.
func takeFrames(w io.Writer, r io.Reader) (nic.Copied, error) {
	in := bufio.NewReaderSize(r, frameHead+maxFrame)
	sum, size := sha256.New(), int64(0)
	frame := make([]byte, maxFrame)
	for {
		if _, err := io.ReadFull(in, frame[:frameHead]); err != nil {
			return nic.Copied{}, cut(err)
		}
		switch length := binary.BigEndian.Uint32(frame); {
		case length == frameEnd:
			if err := checkEnd(in, size, sum); err != nil {
				return nic.Copied{}, err
			}
			return copied(size, sum), last(in)
		case length == frameFailed:
			return nic.Copied{}, errors.Join(failedReason(in), last(in))
		case length > maxFrame:
			return nic.Copied{}, fmt.Errorf("what comes is no stream of ours: a frame of %d bytes", length)
		default:
			if _, err := io.ReadFull(in, frame[:length]); err != nil {
				return nic.Copied{}, cut(err)
			}
			if _, err := w.Write(frame[:length]); err != nil {
				return nic.Copied{}, fmt.Errorf("write what the stream brings: %w", err)
			}
			sum.Write(frame[:length])
			size += int64(length)
		}
	}
}

// checkEnd compares what has come with what the sender says it was.
func checkEnd(in io.Reader, size int64, sum hash.Hash) error {
	want := endFrame(size, sum)[frameHead:]
	said := make([]byte, len(want))
	if _, err := io.ReadFull(in, said); err != nil {
		return cut(err)
	}
	if string(said) != string(want) {
		return fmt.Errorf("what came is not what was sent: %d bytes came, with SHA-256 %x, and %d were sent, with %x",
			size, want[8:], binary.BigEndian.Uint64(said), said[8:])
	}
	return nil
}

// last waits for the connection's end. Who hangs up before that breaks the stream
// for a sender which has not heard yet that all is taken.
func last(in *bufio.Reader) error {
	if _, err := in.ReadByte(); err == nil {
		return errors.New("the stream goes on after its end")
	}
	return nil
}

// failedReason is what the sender says of why there is no more.
func failedReason(in io.Reader) error {
	var length [2]byte
	_, err := io.ReadFull(in, length[:])
	why := make([]byte, min(int(binary.BigEndian.Uint16(length[:])), maxReason))
	if err == nil {
		_, err = io.ReadFull(in, why)
	}
	if err != nil {
		return cut(err)
	}
	return fmt.Errorf("the node that sends could not go on: %q", why)
}

func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errCut
	}
	return fmt.Errorf("%w: %w", errCut, err)
}

func copied(size int64, sum hash.Hash) nic.Copied {
	return nic.Copied{Bytes: size, SHA256: hex.EncodeToString(sum.Sum(nil))}
}
