package relay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A run is one stream from vm1 to vm2, over connections whose other ends the test
// has.
type run struct {
	*relay.Relay
	name       string
	close      func()
	send, take chan error
	in, out    net.Conn // the sending node's, and the taking one's
	hangUp     map[string]context.CancelCauseFunc
}

func begin(t *testing.T, nodes ...string) *run {
	t.Helper()
	r := &run{Relay: relay.New(relay.Options{}), send: make(chan error, 1), take: make(chan error, 1), hangUp: map[string]context.CancelCauseFunc{}}
	r.name, r.close = r.Open("vm1", "vm2")
	in, from := net.Pipe()
	out, to := net.Pipe()
	r.in, r.out = in, out
	t.Cleanup(func() { in.Close(); out.Close() })
	for _, node := range nodes {
		ctx, cancel := context.WithCancelCause(t.Context())
		r.hangUp[node] = cancel
		if node == "vm1" {
			go func() { r.send <- r.Send(ctx, r.name, node, from); from.Close() }()
		} else {
			go func() { r.take <- r.Take(ctx, r.name, node, to); to.Close() }()
		}
	}
	return r
}

func TestAStreamGoesThroughWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 5<<20 + 77} {
			r := begin(t, "vm1", "vm2")
			sent := make([]byte, size)
			rand.NewChaCha8([32]byte{}).Read(sent)
			go func() {
				for rest := sent; len(rest) > 0; { // in pieces of all sizes
					n := min(len(rest), 1+rand.IntN(200<<10))
					r.in.Write(rest[:n])
					rest = rest[n:]
				}
				r.in.Close()
			}()
			got, err := io.ReadAll(r.out)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes sent, %d taken, %v", size, len(got), err)
			}
			if sent, taken := <-r.send, <-r.take; sent != nil || taken != nil {
				t.Errorf("of %d bytes: %v, %v", size, sent, taken)
			}
			r.close()
			r.close()
		}
	})
}

// Whatever breaks a stream, both ends are told the same, in time, and nothing is
// left of it.
func TestWhatBreaksAStream(t *testing.T) {
	t.Parallel()
	both := []string{"vm1", "vm2"}
	for name, c := range map[string]struct {
		nodes []string
		do    func(*run)
		after time.Duration
		want  string
	}{
		"nobody takes":        {both[:1], func(*run) {}, 30 * time.Second, "node vm2 did not come to its end within 30s"},
		"nobody sends":        {both[1:], func(*run) {}, 30 * time.Second, "node vm1 did not come to its end within 30s"},
		"the sender is quiet": {both, func(r *run) { r.in.Write([]byte("some")); io.ReadFull(r.out, make([]byte, 4)) }, 30 * time.Second, "broke after 4 bytes: node vm1 sent nothing for 30s"},
		"the taker stalls": {both, func(r *run) {
			r.in.SetWriteDeadline(time.Now().Add(time.Hour))
			r.in.Write(make([]byte, 1<<20))
		}, 2 * time.Minute, "node vm2 took nothing for 2m0s"},
		"the taker stalls at the end": {both, func(r *run) { r.in.Write([]byte("some")); r.in.Close() }, 2 * time.Minute, "node vm2 took nothing for 2m0s"},
		"the taker hangs up":          {both, func(r *run) { r.out.Close(); r.in.Write([]byte("some")) }, 0, "broke after 0 bytes: node vm2, which takes, is gone"},
		"the sender breaks off":       {both, func(r *run) { r.hangUp["vm1"](nil) }, 0, "node vm1, which sends, hung up"},
		"the taker is shut out":       {both, func(r *run) { r.hangUp["vm2"](errors.New("the node is revoked")) }, 0, "node vm2, which takes, was cut off: the node is revoked"},
		"the move goes back":          {both, func(r *run) { r.close() }, 0, "the controller has ended it"},
		"it goes back before all":     {both[:1], func(r *run) { r.close() }, 0, "the controller has ended it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, c.nodes...)
				synctest.Wait()
				began := time.Now()
				c.do(r)
				for _, node := range c.nodes {
					err := <-map[string]chan error{"vm1": r.send, "vm2": r.take}[node]
					if api.CodeOf(err) != api.CodeUnavailable || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%s is told %v, want %q", node, err, c.want)
					}
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("it took %s, want %s", took, c.after)
				}
				if len(c.nodes) == 2 || name == "it goes back before all" {
					return
				}
				// Who comes too late is told what became of it.
				if err := errors.Join(r.Take(t.Context(), r.name, "vm2", io.Discard), r.Send(t.Context(), r.name, "vm1", strings.NewReader(""))); !strings.Contains(err.Error(), c.want) {
					t.Errorf("who comes late is told %v", err)
				}
			})
		})
	}
}

// Nobody gets at a stream but the two that it was opened for, at its own end, once.
func TestWhoMayUseAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, "vm1", "vm2")
		synctest.Wait()
		send := func(name, node string) error { return r.Send(t.Context(), name, node, strings.NewReader("x")) }
		take := func(name, node string) error { return r.Take(t.Context(), name, node, io.Discard) }
		for what, c := range map[string]struct {
			err  error
			want api.Code
		}{
			"another sends":     {send(r.name, "vm3"), api.CodeNotFound},
			"another takes":     {take(r.name, "vm3"), api.CodeNotFound},
			"the taker sends":   {send(r.name, "vm2"), api.CodeNotFound},
			"the sender takes":  {take(r.name, "vm1"), api.CodeNotFound},
			"there is none":     {take("str-0", "vm2"), api.CodeNotFound},
			"the sender, again": {send(r.name, "vm1"), api.CodeConflict},
			"the taker, again":  {take(r.name, "vm2"), api.CodeConflict},
		} {
			if api.CodeOf(c.err) != c.want {
				t.Errorf("%s: %v, want %s", what, c.err, c.want)
			}
		}
		go func() { r.in.Write([]byte("whole")); r.in.Close() }()
		if got, err := io.ReadAll(r.out); string(got) != "whole" || err != nil {
			t.Errorf("after all that, taken are %q, %v", got, err)
		}
		if err := errors.Join(<-r.send, <-r.take); err != nil {
			t.Error(err)
		}
		r.close()
		if err := take(r.name, "vm2"); !api.IsNotFound(err) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// Streams are bounded in number.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := relay.New(relay.Options{})
		var ends []func()
		for range 256 {
			_, end := r.Open("vm1", "vm2")
			ends = append(ends, end)
		}
		name, end := r.Open("vm1", "vm2")
		if err := r.Send(t.Context(), name, "vm1", strings.NewReader("x")); !api.IsNotFound(err) {
			t.Errorf("one too many is %v", err)
		}
		end()
		ends[0]()
		name, end = r.Open("vm1", "vm2")
		defer end()
		go r.Take(t.Context(), name, "vm2", io.Discard)
		if err := r.Send(t.Context(), name, "vm1", strings.NewReader("x")); err != nil {
			t.Errorf("one in place of another: %v", err)
		}
	})
}

// A gibibyte goes through in the memory of two chunks.
func TestMemoryIsConstant(t *testing.T) {
	const size = 1 << 30
	r := relay.New(relay.Options{})
	name, end := r.Open("vm1", "vm2")
	defer end()
	sum, taken := sha256.New(), sha256.New()
	sent := make(chan error, 1)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	go func() {
		sent <- r.Send(t.Context(), name, "vm1", io.TeeReader(io.LimitReader(zeros{}, size), sum))
	}()
	if err := r.Take(t.Context(), name, "vm2", taken); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("it allocated %d KiB in all", grown>>10)
	}
	if !bytes.Equal(sum.Sum(nil), taken.Sum(nil)) {
		t.Error("what was taken is not what was sent")
	}
}

// zeros have no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
