package protocol

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// A Kind is what a frame carries.
type Kind byte

// The kinds. A conversation starts with one KindRequest; KindStdin, KindEOF
// and KindSignal follow from the client, KindStdout and KindStderr from the
// guest, and its last is KindResult. Whoever hangs up earlier has the command
// killed.
const (
	KindRequest Kind = 'q' // Request as JSON
	KindStdin   Kind = 'i'
	KindEOF     Kind = 'e' // the end of standard input
	KindSignal  Kind = 's' // one byte: the signal's number
	KindStdout  Kind = 'o'
	KindStderr  Kind = 'r'
	KindResult  Kind = 'x' // Result as JSON
)

// MaxFrame is the most bytes that a frame carries.
const MaxFrame = 256 << 10

// Op is what a client asks for.
type Op string

// The operations.
const (
	OpRun    Op = "run"    // run Args until they end
	OpSpawn  Op = "spawn"  // start Args and leave them running, with their output in Path
	OpPut    Op = "put"    // write standard input to Path, in one step
	OpDocker Op = "docker" // wait until dockerd answers
)

// A Request opens a conversation.
type Request struct {
	Op   Op
	Args []string `json:",omitempty"`
	Env  []string `json:",omitempty"` // added to the guest's own
	Dir  string   `json:",omitempty"`
	Path string   `json:",omitempty"`
	Mode uint32   `json:",omitempty"` // permission bits of a put file
}

// A Result ends a conversation.
type Result struct {
	Error  string `json:",omitempty"` // why there is no exit status
	Code   int    // exit status, or -1 after a signal
	Signal string `json:",omitempty"` // what killed the command
	PID    int    `json:",omitempty"` // of what was spawned, in the guest
	Millis int64  `json:",omitempty"` // OpDocker: from boot until it answered
}

// A Writer writes frames; its methods may be called from many goroutines.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a writer of frames to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Frame writes one frame, of at most MaxFrame bytes.
func (w *Writer) Frame(kind Kind, payload []byte) error {
	if len(payload) > MaxFrame {
		return fmt.Errorf("write frame: %d bytes are more than %d", len(payload), MaxFrame)
	}
	buf := make([]byte, 5, 5+len(payload))
	buf[0] = byte(kind)
	binary.BigEndian.PutUint32(buf[1:], uint32(len(payload)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.w.Write(append(buf, payload...)); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// JSON writes v as one frame.
func (w *Writer) JSON(kind Kind, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return w.Frame(kind, payload)
}

// Stream is an io.Writer whose bytes become frames of the kind.
func (w *Writer) Stream(kind Kind) io.Writer { return &stream{w, kind} }

type stream struct {
	w    *Writer
	kind Kind
}

func (s *stream) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		n := min(len(p)-done, MaxFrame)
		if err := s.w.Frame(s.kind, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// ReadFrame reads one frame. A clean end before it is io.EOF.
func ReadFrame(r io.Reader) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > MaxFrame {
		return 0, nil, fmt.Errorf("read frame: %d bytes are more than %d", n, MaxFrame)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w", err)
	}
	return Kind(head[0]), payload, nil
}
