package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	var buf bytes.Buffer
	w := protocol.NewWriter(&buf)
	long := bytes.Repeat([]byte("x"), 2*protocol.MaxFrame+1)
	if n, err := w.Stream(protocol.KindStdout).Write(long); n != len(long) || err != nil {
		t.Fatal(n, err)
	}
	if err := w.Frame(protocol.KindEOF, nil); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for range 3 {
		kind, payload, err := protocol.ReadFrame(&buf)
		if kind != protocol.KindStdout || err != nil {
			t.Fatal(kind, err)
		}
		got = append(got, payload...)
	}
	if !bytes.Equal(got, long) {
		t.Errorf("read %d bytes, want %d", len(got), len(long))
	}
	if kind, payload, err := protocol.ReadFrame(&buf); kind != protocol.KindEOF || len(payload) != 0 || err != nil {
		t.Errorf("read %c with %d bytes, %v; want an empty e", kind, len(payload), err)
	}
	if _, _, err := protocol.ReadFrame(&buf); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v, want the end", err)
	}
}

func TestFramesHaveALimit(t *testing.T) {
	w := protocol.NewWriter(io.Discard)
	if err := w.Frame(protocol.KindStdin, make([]byte, protocol.MaxFrame+1)); err == nil {
		t.Error("a frame that is too long was written")
	}
	if _, _, err := protocol.ReadFrame(bytes.NewReader([]byte{'i', 0xff, 0xff, 0xff, 0xff})); err == nil {
		t.Error("a frame that is too long was read")
	}
	if _, _, err := protocol.ReadFrame(bytes.NewReader([]byte{'i', 0, 0, 0, 9, 'x'})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a frame: %v", err)
	}
}
