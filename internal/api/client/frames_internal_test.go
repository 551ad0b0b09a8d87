package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// framed is a stream of these bytes.
func framed(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var out bytes.Buffer
	f := &frames{out: &out, wrote: func() {}}
	if _, err := f.send(r, time.Hour); err != nil {
		if _, ok := errors.AsType[*sourceError](err); !ok {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// A stream that is cut off anywhere, or changed anywhere, is never taken for whole.
func TestOnlyAWholeStreamIsWhole(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("nicferry", 9000) // more than one frame
	whole := framed(t, strings.NewReader(content))
	var got strings.Builder
	taken, err := takeFrames(&got, iotest.OneByteReader(bytes.NewReader(whole)))
	if err != nil || got.String() != content || taken.Bytes != int64(len(content)) || len(taken.SHA256) != 64 {
		t.Fatalf("taken whole is %+v, %v", taken, err)
	}
	for at := range whole {
		if at > 100 && at < len(whole)-100 && at%997 != 0 {
			continue
		}
		if _, err := takeFrames(io.Discard, bytes.NewReader(whole[:at])); !errors.Is(err, errCut) {
			t.Errorf("cut off after %d bytes: %v", at, err)
		}
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		if taken, err := takeFrames(io.Discard, bytes.NewReader(changed)); err == nil {
			t.Errorf("with byte %d changed: %+v", at, taken)
		}
	}
	if _, err := takeFrames(io.Discard, bytes.NewReader(append(whole, 0))); err == nil {
		t.Error("one that goes on after its end is whole")
	}
	// The end of another stream.
	mixed := append(bytes.Clone(framed(t, strings.NewReader("one"))[:frameHead+3]), framed(t, strings.NewReader("two"))[frameHead+3:]...)
	if _, err := takeFrames(io.Discard, bytes.NewReader(mixed)); err == nil || !strings.Contains(err.Error(), "is not what was sent") {
		t.Errorf("with another's end: %v", err)
	}
}

// Why a sender cannot go on is told to the taker, and not more than is good.
func TestTheSendersReason(t *testing.T) {
	t.Parallel()
	broken := framed(t, io.MultiReader(strings.NewReader("some"), iotest.ErrReader(errors.New("disk is\x1b[2J broken "+strings.Repeat("!", 5000)))))
	_, err := takeFrames(io.Discard, bytes.NewReader(broken))
	if err == nil || !strings.Contains(err.Error(), `could not go on: "disk is\x1b[2J broken !`) || len(err.Error()) > maxReason+200 {
		t.Errorf("the taker is told %v", err)
	}
	huge := binary.BigEndian.AppendUint32(nil, maxFrame+1)
	if _, err := takeFrames(io.Discard, bytes.NewReader(huge)); err == nil || !strings.Contains(err.Error(), "no stream of ours") {
		t.Errorf("a frame that is too large: %v", err)
	}
	full := errors.New("no space left")
	if _, err := takeFrames(failing{full}, io.MultiReader(bytes.NewReader(framed(t, strings.NewReader("x"))[:frameHead+1]), silent{})); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// silent must not be read from.
type silent struct{}

func (silent) Read([]byte) (int, error) { panic("read on") }

// A source may be quiet for as long as it likes: signs of life go out meanwhile.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, feed := io.Pipe()
		go func() {
			time.Sleep(63 * time.Second)
			feed.Write([]byte("at last"))
			feed.Close()
		}()
		var out bytes.Buffer
		f := &frames{out: &out, at: time.Now(), wrote: func() {}}
		if _, err := f.send(source, streamBeat); err != nil {
			t.Fatal(err)
		}
		if beats := bytes.Index(out.Bytes(), []byte("\x00\x00\x00\x07at last")); beats != 12*frameHead {
			t.Errorf("%d bytes of signs came before", beats)
		}
		var got strings.Builder
		if _, err := takeFrames(&got, &out); err != nil || got.String() != "at last" {
			t.Errorf("taken is %q, %v", got.String(), err)
		}
	})
}
